// What the person has chosen, kept for the next visit.

import { keepChoices, keptChoices } from "/kept.js";

/**
 * options: {setting: value} where it is not the server's own
 * microphoneId, loudspeakerId: of devices, "" for the browser's own choice
 * isSpoken, isReadAloud: whether typed questions are answered aloud, in a call and outside of one
 * hasDetails: whether times, network and engines are shown
 * hasKeys: whether single letters do something
 */
export class Choices {
  constructor() {
    Object.assign(this, keptChoices());
  }

  /** @param {object} changed - some of the above */
  change(changed) {
    Object.assign(this, changed);
    keepChoices({ ...this });
  }

  /** What an earlier server knew, and this one does not, would be refused. @returns {object} the options that are left */
  dropUnknown(settings) {
    if (settings) this.options = Object.fromEntries(Object.entries(this.options).filter(([key]) => Object.hasOwn(settings, key)));
    return this.options;
  }
}
