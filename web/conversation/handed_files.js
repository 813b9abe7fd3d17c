// Files that are pasted into the page, or dropped onto it: for the next message, and never opened in the page's place.

/** @param {(files: File[]) => void} take - pictures that were pasted; whatever was dropped */
export function listenToFiles(take) {
  addEventListener("paste", (event) => {
    const files = picturesIn(event.clipboardData);
    if (files.length === 0 || isInDialog()) return;
    event.preventDefault();
    take(files);
  });
  const mark = (isOver) => document.body.classList.toggle("dropping", isOver);
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files") || isInDialog()) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && mark(false));
  addEventListener("drop", (event) => {
    mark(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length === 0 || isInDialog()) return;
    event.preventDefault();
    take(files);
  });
}

function picturesIn(data) {
  // An office program hands over a picture of the text that it has copied.
  if (["text/plain", "text/html"].every((type) => data?.types.includes(type))) return [];
  return [...(data?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
}

function isInDialog() {
  return document.querySelector("dialog[open]") !== null;
}
