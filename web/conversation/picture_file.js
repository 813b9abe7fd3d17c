// Pictures made as small as the server takes them. They are drawn anew, which leaves out where and by what they were taken.

// As the server takes them.
export const MAX_BYTES = 1_500_000;
export const MAX_SIDE_PX = 1_600;
const SHRINK = 0.7;
const QUALITY = 0.85;

/**
 * @param {CanvasImageSource} source @param {number} width - in pixels @param {number} height - the same
 * @param {{maxBytes: number, maxSidePx: number}} [bounds]
 * @returns {Promise<Blob>} a JPEG file
 */
export async function asPicture(source, width, height, { maxBytes = MAX_BYTES, maxSidePx = MAX_SIDE_PX } = {}) {
  let scale = Math.min(1, maxSidePx / Math.max(width, height));
  let picture = await asJpeg(source, width * scale, height * scale);
  while (picture.size > maxBytes) {
    scale *= SHRINK;
    picture = await asJpeg(source, width * scale, height * scale);
  }
  return picture;
}

/** @returns {Promise<string>} a file as a data URL */
export function asDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

function asJpeg(source, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(width));
  canvas.height = Math.max(1, Math.floor(height));
  const drawing = canvas.getContext("2d");
  // What can be seen through would be black.
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  drawing.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", QUALITY);
  });
}
