/** A fault that the person at the page can read and act on. */
export class Problem extends Error {
  /**
   * @param {string} message - one or two plain sentences: what went wrong and what to do
   * @param {string} [mend] - a shell command that mends it, shown as such
   */
  constructor(message, mend = "") {
    super(message);
    this.name = "Problem";
    this.mend = mend;
  }
}
