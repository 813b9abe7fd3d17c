/** A fault that the person at the page can read and act on. */
export class Problem extends Error {
  /**
   * @param {string} message - one or two plain sentences: what went wrong and what to do
   * @param {string} [mend] - a shell command that mends it, shown as such
   * @param {object} [kind]
   *   isPassing: the same call may succeed a little later, without anyone doing anything;
   *   isInUse: something else holds the conversation now;
   *   isUnreachable: WebRTC found no way through, another transport may
   */
  constructor(message, mend = "", { isPassing = false, isInUse = false, isUnreachable = false } = {}) {
    super(message);
    this.name = "Problem";
    this.mend = mend;
    this.isPassing = isPassing;
    this.isInUse = isInUse;
    this.isUnreachable = isUnreachable;
  }
}

/** @returns {Problem} `error` itself if it is one, else a Problem with its message after `what` */
export function asProblem(error, what) {
  return error instanceof Problem ? error : new Problem(`${what}: ${error.message}`);
}
