// The big screen: who is here, the countdown, the lanes, the result.

import { Presence } from "./bennu.mjs";
import { call, showState } from "./line.js";
import { $, Race, countDown, element, ending, hue, ordinal, seconds, sentence, showScreen, write } from "./view.js";

/** With more lanes than this they are narrow, and with more than that they are one line each. */
const WIDE_LANES_MAX = 12;
const NARROW_LANES_MAX = 48;
const LINE_PX = 20;

const race = new Race();
const token = location.hash.slice(1);
let line;
let presence;
/** The elements of the present race's lanes, by number. */
let lanes = [];
let drawn = 0;
/** Lanes that are to be drawn with the browser's next frame. */
const undrawn = new Set();

function open() {
  line = call({
    topic: "console",
    params: () => ({ token }),
    made: (channel) => {
      presence = new Presence(channel);
      presence.onSync(showPlayers);
    },
    joined: () => {
      race.begin();
      // A server that began anew counts its races anew.
      drawn = 0;
    },
    refused: ({ reason }) => {
      write("refused-why", sentence(reason));
      showScreen("refused");
    },
    on: {
      view: (view) => race.take(view, Date.now()) && show(),
      progress: (progress) => {
        if (undrawn.size === 0) requestAnimationFrame(drawProgress);
        for (const at of race.progress(progress)) undrawn.add(at);
      },
    },
  });
}

function show() {
  const { phase } = race.view;
  if (phase === "lobby") showScreen("lobby");
  if (phase === "countdown") {
    write("countdown-hint", `${race.view.goal} taps to the finish`);
    countDown(race, (digit) => write("count", digit));
    showScreen("countdown");
  }
  if (phase === "racing") {
    showScreen("racing");
    drawLanes();
  }
  if (phase === "finished") {
    showResult();
    showScreen("finished");
  }
  showPlayers();
  tick();
}

// The lobby

function showPlayers() {
  const players = presence.list((id, { metas }) => ({ id, ...metas.at(-1) }));
  players.sort((a, b) => a.name.localeCompare(b.name));
  write("present-count", players.length);
  write("present-word", players.length === 1 ? "player is here" : "players are here");
  $("nobody").hidden = players.length > 0;
  $("start").disabled = $("again").disabled = players.length === 0;
  const focused = document.activeElement?.dataset?.kick;
  $("players").replaceChildren(...players.map(chip));
  if (focused) $("players").querySelector(`[data-kick="${CSS.escape(focused)}"]`)?.focus();
  if (!race.view) return;
  const racing = new Set(race.view.lanes.map((lane) => lane.id));
  const late = players.filter(({ id }) => !racing.has(id)).length;
  write("waiting", late > 0 ? `${late} ${late === 1 ? "waits" : "wait"} for the next race` : "");
  const away = new Set(players.filter((player) => player.away).map(({ id }) => id));
  race.view.lanes.forEach(({ id }, at) => lanes[at]?.node.classList.toggle("away", away.has(id)));
}

function chip({ id, name, away }) {
  const item = element("li", { className: away ? "chip away" : "chip", title: away ? "The connection is lost" : "" },
    element("span", { className: "dot", ariaHidden: "true" }), element("bdi", { className: "name" }, name));
  if (away) item.append(element("span", { className: "note" }, "away"));
  const kick = element("button", { type: "button", className: "kick", ariaLabel: `Send ${name} away`, dataset: { kick: id } }, "✕");
  kick.addEventListener("click", () => line.push("kick", { id }));
  item.append(kick);
  item.style.setProperty("--hue", hue(name));
  return item;
}

// The lanes

function drawLanes() {
  if (drawn !== race.view.race) {
    drawn = race.view.race;
    lanes = race.view.lanes.map(lane);
    const list = $("lanes");
    const count = lanes.length;
    list.dataset.size = count <= WIDE_LANES_MAX ? "wide" : count <= NARROW_LANES_MAX ? "narrow" : "line";
    list.style.setProperty("--columns", Math.ceil(count / Math.max(1, Math.floor(list.clientHeight / LINE_PX))));
    list.replaceChildren(...lanes.map(({ node }) => node));
  }
  write("race-title", lanes.length === 1 ? "A race of one" : `A race of ${lanes.length}`);
  lanes.forEach((_, at) => drawLane(at));
}

function lane({ name }) {
  const bar = element("span", { className: "way" }, element("span", { className: "runner", ariaHidden: "true" }));
  const taps = element("span", { className: "taps" });
  const node = element("li", { className: "lane" }, element("bdi", { className: "name" }, name), bar, taps);
  node.style.setProperty("--hue", hue(name));
  return { node, taps };
}

function drawProgress() {
  for (const at of undrawn) drawLane(at);
  undrawn.clear();
}

function drawLane(at) {
  const shown = lanes[at];
  const lane = race.view?.lanes[at];
  if (!shown || !lane) return;
  const { taps, out, finished_ms } = lane;
  const { goal } = race.view;
  shown.node.style.setProperty("--way", taps / goal);
  shown.node.classList.toggle("out", out);
  shown.node.classList.toggle("in", taps >= goal);
  shown.taps.textContent = finished_ms !== null ? seconds(finished_ms) : out ? "out" : String(taps);
}

function tick() {
  if (race.view?.phase !== "racing") return;
  write("clock", `${Math.max(0, Math.ceil((race.until - Date.now()) / 1_000))} s left`);
}

// The result

function showResult() {
  const { lanes: all, order } = race.view;
  const first = order.slice(0, 3).map((at, n) => {
    const step = element("div", { className: `step step-${n + 1}` },
      element("bdi", { className: "name" }, all[at].name), element("span", { className: "time" }, ending(all[at])),
      element("span", { className: "block" }, ordinal(n + 1)));
    step.style.setProperty("--hue", hue(all[at].name));
    return step;
  });
  $("podium").replaceChildren(...first);
  const rest = order.slice(3).map((at, n) =>
    element("li", {}, element("span", { className: "rank" }, String(n + 4)),
      element("bdi", { className: "name" }, all[at].name), element("span", { className: "time" }, ending(all[at]))));
  $("table").replaceChildren(...rest);
  $("table").hidden = rest.length === 0;
}

// The page

function start(error) {
  write(error, "");
  line.push("start").receive("error", ({ reason }) => write(error, sentence(reason)));
}

$("start").addEventListener("click", () => start("start-error"));
$("again").addEventListener("click", () => start("again-error"));
for (const button of document.querySelectorAll("[data-clear]")) button.addEventListener("click", () => line.push("clear"));
$("try-now").addEventListener("click", () => line?.tryNow());
const address = new URL(".", location.href);
for (const node of document.querySelectorAll("[data-address]")) node.textContent = `${address.host}${address.pathname}`;
$("local").hidden = !/^(localhost|127\..*|\[::1\])$/.test(address.hostname);
setInterval(tick, 250);

if (token) {
  showScreen("connecting");
  open();
} else {
  showState("refused");
  write("refused-why", "The console opens by the link that the server printed when it started.");
  showScreen("refused");
}
