// What the agent does beside talking, as the page knows it: events of tools in, items out. No DOM, no network.

const NAMES = {
  current_time: "Look at the clock",
  look_through_camera: "Look through the camera",
  calculate: "Calculate",
  convert: "Convert",
  set_timer: "Set a timer",
  set_alarm: "Set an alarm",
  list_timers: "Look at the timers",
  cancel_timer: "Cancel a timer",
  create_file: "Create a file",
  read_file: "Read a file",
  append_to_file: "Add to a file",
  list_files: "Look through the files",
  rename_file: "Rename a file",
  delete_file: "Move a file to the bin",
  restore_file: "Take a file out of the bin",
};
// Of what is not over when the call is.
const OPEN = new Set(["running", "asked"]);

/**
 * item: {role: "tool", callId, name, given, result, state, ms, undo}
 *   name: in plain words; given: the arguments by their names; result: undefined until there is one
 *   state: "running" | "asked" (for a yes) | "done" | "failed" | "cancelled" | "unknown" (the call ended before)
 *   ms: how long it took; null where it waited for a yes, or is not over
 *   undo: {mark, state: "offered" | "asked" | "done" | "failed", error}, else null
 */
export class ToolCalls {
  #add;
  #items = [];
  #begun = new WeakMap();

  /** @param {(item: object) => object} add - puts a new item into the conversation, and returns it as it stands there */
  constructor(add) {
    this.#add = add;
  }

  /** @param {object} event - tool_call, tool_result, tool_cancelled or tool_undo */
  apply(event) {
    if (event.event === "tool_call") return this.#begin(event);
    // Some servers number their calls anew in each reply: the newest of a name is meant.
    const item = this.#items.findLast(({ callId }) => callId === event.id);
    if (!item) return;
    if (event.event === "tool_result") this.#end(item, event);
    else if (event.event === "tool_cancelled") item.state = "cancelled";
    else this.#noteUndo(item, event);
  }

  /** The user wants to take an act back. @param {string} mark @returns {boolean} whether that was offered */
  takeBack(mark) {
    const undo = this.#items.find((item) => item.undo?.mark === mark && item.undo.state === "offered")?.undo;
    if (undo) undo.state = "asked";
    return undo !== undefined;
  }

  /** The call is over: what it offered is gone with it. */
  hangUp() {
    for (const item of this.#items) {
      if (OPEN.has(item.state)) item.state = "unknown";
      if (["offered", "asked"].includes(item.undo?.state)) item.undo = null;
    }
  }

  #begin({ id, name, arguments: given, t }) {
    const known = { role: "tool", callId: id, name: inPlainWords(name), given: isObject(given) ? given : {} };
    const item = this.#add({ ...known, result: undefined, state: "running", ms: null, undo: null });
    this.#begun.set(item, t);
    this.#items.push(item);
  }

  #end(item, { result, t }) {
    if (isObject(result) && typeof result.waiting === "string") {
      item.state = "asked";
      this.#begun.delete(item);
      return;
    }
    const tookSecs = t - this.#begun.get(item);
    item.ms = tookSecs >= 0 ? Math.round(tookSecs * 1_000) : null;
    item.result = result ?? null;
    item.state = isObject(result) && "error" in result ? "failed" : "done";
  }

  #noteUndo(item, { undo, state, error }) {
    if (typeof undo !== "string" || !["offered", "done", "failed"].includes(state)) return;
    item.undo = { mark: undo, state, error: typeof error === "string" ? error : "" };
  }
}

/** @param {object} given - arguments by name @returns {string} in a line */
export function inALine(given) {
  const told = Object.entries(given).filter(([, value]) => value !== "" && value !== null);
  const texts = told.map(([name, value]) => (typeof value === "string" ? value : `${name} ${JSON.stringify(value)}`));
  return texts.join(", ").replace(/\s+/g, " ");
}

function inPlainWords(name) {
  if (Object.hasOwn(NAMES, name)) return NAMES[name];
  const said = String(name ?? "").replaceAll("_", " ").trim() || "A tool";
  return said[0].toUpperCase() + said.slice(1);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
