// Server-sent events of a fetched answer (WHATWG HTML, section 9.2.6): fetch can POST, EventSource cannot.

/**
 * @param {ReadableStream<Uint8Array>} stream
 * @yields {{event: string, data: string}} in order; an event that the end cut off is dropped
 */
export async function* readEvents(stream) {
  let rest = "";
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) yield parse(block);
    }
  } finally {
    await reader.cancel();
  }
}

function parse(block) {
  const lines = block.split("\n").filter((line) => !line.startsWith(":"));
  const of = (field) =>
    lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1).replace(/^ /, ""));
  return { event: of("event").at(-1) ?? "message", data: of("data").join("\n") };
}
