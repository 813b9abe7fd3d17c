// An agent of @openai/agents-realtime, as its makers ship it: told of nothing but the server's address.
// The same in node and in a browser: `Agents` is the package.
// `makeTransport` makes one of the package's own, `drop` has the server end the line.
export async function talk({ Agents, makeTransport, url, apiKey, say, drop, ask }) {
  const { RealtimeAgent, RealtimeSession, tool } = Agents;
  const calls = [];
  const getWeather = tool({
    name: "get_weather",
    description: "The weather of a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
    strict: false,
    execute: async ({ city }) => (calls.push(city), "sunny"),
  });
  const agent = new RealtimeAgent({ name: "test", instructions: "Be brief.", tools: [getWeather] });
  const events = [];
  const problems = [];
  let changed = () => {};
  const join = async () => {
    const session = new RealtimeSession(agent, { transport: makeTransport() });
    session.on("error", ({ error }) => problems.push(JSON.stringify(error) ?? String(error)));
    session.on("transport_event", (event) => {
      events.push(event);
      changed();
    });
    await session.connect({ apiKey, url });
    return session;
  };
  const until = async (type, count = 1) => {
    while (events.filter((event) => event.type === type).length < count) {
      await new Promise((resolve) => (changed = resolve));
    }
    return events.filter((event) => event.type === type)[count - 1];
  };
  const session = await join();
  // Two spoken turns, and a third whose answer calls a function and goes on when it is done.
  await say(session, "question");
  await until("response.done", 1);
  await say(session, "question");
  await until("response.done", 2);
  await say(session, "question");
  await until("response.done", 4);
  // A long answer that the user cuts.
  await say(session, "question");
  await until("response.output_audio_transcript.delta", ask.n_words_before_the_long_answer + 4);
  await say(session, "stop");
  await until("response.done", 6);
  // The line breaks, and the agent comes back.
  const gone = new Promise((resolve) => {
    session.transport.on("connection_change", (status) => status === "disconnected" && resolve());
  });
  await drop();
  await gone;
  session.close();
  const again = await join();
  await say(again, "question");
  await until("response.done", 7);
  const done = events.filter((event) => event.type === "response.done").map(({ response }) => response);
  again.close();
  return {
    calls,
    problems,
    types: [...new Set(events.map(({ type }) => type))],
    statuses: done.map(({ status }) => status),
    said: done.map(({ output }) => output[0]?.content?.[0]?.transcript ?? output[0]?.type),
  };
}
