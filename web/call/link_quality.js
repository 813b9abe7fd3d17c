// How well the network carries a WebRTC call: packets lost each way, and the round trip.

/** Measures since the last time it was asked, so that an old loss is not told for ever. */
export class LinkQuality {
  #peer;
  #nLost = 0;
  #nReceived = 0;

  /** @param {RTCPeerConnection} peer */
  constructor(peer) {
    this.#peer = peer;
  }

  /** @returns {Promise<{transport: string, roundTripMs: number?, lostDown: number?, lostUp: number?}>} shares in 0..1 */
  async measure() {
    const reports = [...(await this.#peer.getStats()).values()];
    const of = (type) => reports.find((report) => report.type === type && (report.kind ?? "audio") === "audio");
    const pair = reports.find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
    const roundTripSecs = pair?.currentRoundTripTime ?? of("remote-inbound-rtp")?.roundTripTime;
    return {
      transport: "WebRTC",
      roundTripMs: Number.isFinite(roundTripSecs) ? roundTripSecs * 1000 : null,
      lostDown: this.#lostDown(of("inbound-rtp")),
      lostUp: of("remote-inbound-rtp")?.fractionLost ?? null,
    };
  }

  /** @returns {Promise<number>} packets of the agent's sound so far; it sends silence, too */
  async nReceived() {
    const reports = [...(await this.#peer.getStats()).values()];
    return reports.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio")?.packetsReceived ?? 0;
  }

  #lostDown(inbound) {
    if (inbound === undefined) return null;
    const nLost = Math.max(0, inbound.packetsLost - this.#nLost);
    const nReceived = inbound.packetsReceived - this.#nReceived;
    this.#nLost = inbound.packetsLost;
    this.#nReceived = inbound.packetsReceived;
    return nLost + nReceived > 0 ? nLost / (nLost + nReceived) : null;
  }
}
