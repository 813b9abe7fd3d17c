// The shapes of the presence, one a state. Drawn in a square from -1 to 1; no DOM.

const TURN = 2 * Math.PI;
const RADIUS = 0.62;

/**
 * @param {CanvasRenderingContext2D} context - the shape's middle at 0, 0, its edges at -1 and 1
 * @param {string} state - a key of FLOOR
 * @param {number} secs - goes on; 0: nothing moves
 * @param {{you: number, agent: number}} levels - 0 to 1
 * @param {{accent: string, agent: string, edge: string, live: string, raised: string}} colours
 */
export function draw(context, state, secs, levels, colours) {
  context.lineCap = context.lineJoin = "round";
  context.globalAlpha = 1;
  FORMS[state](context, secs, levels, colours);
  context.globalAlpha = 1;
}

const FORMS = {
  idle(context, secs, levels, { accent, raised }) {
    disc(context, accent, RADIUS);
    glow(context, accent, RADIUS + 0.12);
    microphone(context, raised);
  },
  starting(context, secs, levels, { edge }) {
    dashes(context, edge, secs, 12);
  },
  away(context, secs, levels, { live, edge }) {
    dashes(context, edge, secs, 3);
    dot(context, live, 0, 0, 0.09);
  },
  connecting(context, secs, levels, { accent }) {
    dashes(context, accent, 2 * secs, 12);
  },
  asking(context, secs, levels, { accent }) {
    ring(context, accent, RADIUS, 0.05);
    glow(context, accent, RADIUS + 0.1 + 0.08 * wave(secs, 1.6));
    microphone(context, accent);
  },
  // A ring that is broken.
  waiting(context, secs, levels, { live }) {
    const from = secs * 0.8;
    arc(context, live, from, from + 0.7 * TURN, 0.06);
    context.globalAlpha = 0.35;
    arc(context, live, from + 0.78 * TURN, from + 0.92 * TURN, 0.06);
  },
  listening(context, secs, { you }, { accent }) {
    glow(context, accent, RADIUS + 0.03 * wave(secs, 4) + 0.3 * you);
    ring(context, accent, RADIUS, 0.045);
    disc(context, accent, 0.09 + 0.02 * wave(secs, 4));
  },
  hearing(context, secs, { you }, { accent }) {
    glow(context, accent, RADIUS + 0.1 + 0.25 * you);
    blob(context, accent, secs, you, 5);
  },
  thinking(context, secs, levels, { agent }) {
    ring(context, agent, RADIUS, 0.03, 0.45);
    for (let n = 0; n < 3; n += 1) {
      const at = secs * 2.2 + (n * TURN) / 3;
      dot(context, agent, RADIUS * Math.cos(at), RADIUS * Math.sin(at), 0.11);
    }
  },
  writing(context, secs, levels, { agent }) {
    ring(context, agent, RADIUS, 0.03, 0.45);
    for (let n = -1; n <= 1; n += 1) dot(context, agent, 0.26 * n, 0.07 * wave(secs - n * 0.2, 1.2), 0.08);
  },
  speaking(context, secs, { agent: level }, { agent }) {
    glow(context, agent, RADIUS + 0.08 + 0.28 * level);
    blob(context, agent, secs, level, 9);
  },
  ducked(context, secs, { agent: level }, { agent }) {
    ring(context, agent, RADIUS, 0.03, 0.45);
    context.save();
    context.scale(0.6, 0.6);
    blob(context, agent, secs, level * 0.5, 9);
    context.restore();
  },
  paused(context, secs, levels, { agent }) {
    ring(context, agent, RADIUS, 0.05);
    for (const x of [-0.15, 0.15]) line(context, agent, [[x, -0.2], [x, 0.2]], 0.11);
  },
  // A closed eye.
  asleep(context, secs, levels, { accent }) {
    glow(context, accent, RADIUS + 0.02 * wave(secs, 6));
    ring(context, accent, RADIUS, 0.03, 0.5);
    context.save();
    context.translate(0, -0.12);
    context.scale(0.5, 0.5);
    arc(context, accent, 0.1 * TURN, 0.4 * TURN, 0.1);
    context.restore();
  },
  muted(context, secs, levels, { edge }) {
    ring(context, edge, RADIUS, 0.045);
    microphone(context, edge);
    line(context, edge, [[-0.3, -0.34], [0.3, 0.34]], 0.05);
  },
};

/** @returns {number} -1 to 1 and back in so many seconds */
function wave(secs, periodSecs) {
  return Math.sin((secs * TURN) / periodSecs);
}

function disc(context, colour, radius) {
  dot(context, colour, 0, 0, radius);
}

function dot(context, colour, x, y, radius) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, Math.max(0, radius), 0, TURN);
  context.fill();
}

function glow(context, colour, radius) {
  context.globalAlpha = 0.16;
  disc(context, colour, Math.min(radius, 0.98));
  context.globalAlpha = 1;
}

function ring(context, colour, radius, width, alpha = 1) {
  context.globalAlpha = alpha;
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.arc(0, 0, radius, 0, TURN);
  context.stroke();
  context.globalAlpha = 1;
}

function arc(context, colour, from, to, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.arc(0, 0, RADIUS, from, to);
  context.stroke();
}

function dashes(context, colour, secs, count) {
  for (let n = 0; n < count; n += 1) {
    const at = (n * TURN) / count + secs * 0.5;
    arc(context, colour, at, at + TURN / count / 2.2, 0.05);
  }
}

function line(context, colour, points, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  points.forEach(([x, y]) => context.lineTo(x, y));
  context.stroke();
}

/** A disc whose edge goes with a voice. */
function blob(context, colour, secs, level, nWaves) {
  context.fillStyle = colour;
  context.beginPath();
  const steps = 96;
  for (let n = 0; n <= steps; n += 1) {
    const at = (n * TURN) / steps;
    const edge = Math.sin(nWaves * at + 3 * secs) + 0.6 * Math.sin((nWaves - 2) * at - 4.1 * secs);
    const radius = RADIUS + 0.08 * level + (0.012 + 0.09 * level) * edge;
    context.lineTo(radius * Math.cos(at), radius * Math.sin(at));
  }
  context.fill();
}

function microphone(context, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 0.05;
  context.beginPath();
  context.roundRect(-0.1, -0.27, 0.2, 0.36, 0.1);
  context.stroke();
  context.beginPath();
  context.arc(0, -0.02, 0.2, 0, Math.PI);
  context.stroke();
  line(context, colour, [[0, 0.18], [0, 0.29]], 0.05);
}
