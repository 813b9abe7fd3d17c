// What the page promises before it asks for the microphone: no more than is true.

const LOCAL_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);
// Engines that ask whatever address their owner gave them.
const REMOTE_ENGINES = new Set(["openai", "endpoint", "servers"]);
const STAGES = { stt: "speech to text", llm: "the language model", large: "the large language model", tts: "text to speech", tools: "tools" };

/**
 * @param {object} engines - {stage: {engine}}, as far as they are known
 * @param {string} hostname - of the page
 */
export function describePrivacy(engines, hostname) {
  const where = LOCAL_NAMES.has(hostname) ? "on this machine" : `on ${hostname}, the machine that serves this page`;
  const pointed = Object.entries(engines)
    .filter(([, serving]) => REMOTE_ENGINES.has(serving?.engine ?? serving))
    .map(([stage]) => STAGES[stage] ?? stage);
  const but = pointed.length > 0 ? `, but for ${pointed.join(" and ")}, which its owner has pointed at a server of their choice` : "";
  return (
    `The browser will ask for your microphone, so that the agent can hear you. Your voice and words stay ${where}${but}. ` +
    "Nothing is recorded unless you switch it on."
  );
}
