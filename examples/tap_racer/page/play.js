// A player's page: a name, a button, and where one is.

import { call, showState } from "./line.js";
import { $, Race, countDown, element, ending, ordinal, sentence, showScreen, write } from "./view.js";

/** Taps go out together, so that a phone sends 20 messages a second at most. */
const SEND_EVERY_MS = 50;
const TOKEN = "tap-racer-token";
const NAME = "tap-racer-name";

const race = new Race();
let line;
let me;
/** Taps that the server counted, that are on their way, and that still go out. */
let counted = 0;
let underway = 0;
let waiting = 0;
let lastRace = 0;

// The connection

function enter(name) {
  line?.hangUp();
  $("enter").disabled = true;
  line = call({
    topic: "play",
    params: () => (localStorage.getItem(TOKEN) ? { token: localStorage.getItem(TOKEN) } : {}),
    join: () => ({ name }),
    joined: (reply) => {
      me = reply;
      localStorage.setItem(TOKEN, reply.token);
      localStorage.setItem(NAME, reply.name);
      $("enter").disabled = false;
      race.begin();
      lastRace = 0;
      write("me", me.name);
    },
    refused: ({ reason, about }) => {
      line = undefined;
      // A name that was taken while we were away is nobody's fault: another will do.
      if (about !== "kicked") return showDoor(me?.name ?? name, sentence(reason));
      write("refused-why", sentence(reason));
      showScreen("refused");
    },
    on: {
      view: (view) => race.take(view, Date.now()) && show(),
      order: (order) => {
        race.order(order);
        showFigures();
      },
      taken_over: () => {
        line.hangUp();
        line = undefined;
        showState("elsewhere");
        showScreen("elsewhere");
      },
    },
  });
}

function showDoor(name, reason = "") {
  me = undefined;
  $("enter").disabled = false;
  $("name").value = name;
  $("name").setAttribute("aria-invalid", String(reason !== ""));
  write("name-error", reason);
  showScreen("door");
  $("name").focus();
}

// What is seen

function show() {
  const { phase, lanes } = race.view;
  const lane = lanes[race.laneOf(me.id)];
  if (race.view.race !== lastRace) {
    lastRace = race.view.race;
    counted = underway = waiting = 0;
    warn("");
  }
  counted = Math.max(counted, lane?.taps ?? 0);
  if (phase === "lobby") {
    write("lobby-hint", "Look at the big screen: the race starts there.");
    return showScreen("lobby");
  }
  if (!lane || lane.out) return showWaiting(phase, lane);
  if (phase === "finished") return showResult(lane);
  if (phase === "countdown") {
    countDown(race, (digit) => write("count", digit));
    return showScreen("countdown");
  }
  write("goal", ` / ${race.view.goal}`);
  write("racers", ` / ${lanes.length}`);
  showFigures();
  showScreen("racing");
  $("tap").focus({ preventScroll: true });
}

function showWaiting(phase, lane) {
  const on = phase === "finished" ? "The race is over." : "A race is on.";
  write("waiting-why", lane?.out ? "You were away for too long." : on);
  write("waiting-hint", `You’re on the list, ${me.name}.`);
  showScreen("waiting");
}

function showFigures() {
  if (race.view?.phase !== "racing") return;
  const { goal } = race.view;
  // What is on its way is shown already; the server has the last word.
  const taps = Math.min(goal, counted + underway + waiting);
  write("taps", taps);
  const bar = $("progress");
  bar.setAttribute("aria-valuenow", String(taps));
  bar.setAttribute("aria-valuemax", String(goal));
  $("progress-bar").style.transform = `scaleX(${taps / goal})`;
  const place = race.placeOf(race.laneOf(me.id));
  if (place > 0) write("place", counted > 0 ? ordinal(place) : "–");
  const isIn = counted >= goal;
  $("tap").disabled = isIn;
  if (isIn) warn("You’re in! Waiting for the others.");
}

function showResult(lane) {
  const { lanes, order } = race.view;
  const place = race.placeOf(lanes.indexOf(lane));
  write("result-over", place === 1 && lane.finished_ms !== null ? "You won!" : "The race is over");
  write("result-place", ordinal(place));
  write("result-hint", `of ${lanes.length}: ${ending(lane)}`);
  const first = order.slice(0, 3).map((at) =>
    element("li", { className: lanes[at] === lane ? "own" : "" },
      element("bdi", { className: "name" }, lanes[at].name), element("span", {}, ending(lanes[at]))));
  $("top").replaceChildren(...first);
  showScreen("finished");
}

function warn(text) {
  write("warning", text);
}

// Tapping

function tap() {
  if (race.view?.phase !== "racing" || $("tap").disabled) return;
  if (!line?.isUp()) return warn("No connection: taps don’t count now.");
  waiting += 1;
  showFigures();
}

function send() {
  if (waiting === 0 || !line?.isUp()) return;
  const taps = waiting;
  const inRace = race.view?.race;
  waiting = 0;
  underway += taps;
  const settle = (answer) => {
    if (race.view?.race !== inRace) return;
    underway = Math.max(0, underway - taps);
    if (answer) {
      counted = Math.max(counted, answer.taps);
      if (answer.taps < race.view.goal) warn(answer.ignored > 0 ? `Too fast: ${answer.ignored} taps didn’t count.` : "");
    }
    showFigures();
  };
  line.push("tap", { taps })
    .receive("ok", settle)
    .receive("error", () => settle())
    .receive("timeout", () => settle());
}

setInterval(send, SEND_EVERY_MS);

const button = $("tap");
button.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  button.classList.add("down");
  tap();
});
for (const up of ["pointerup", "pointercancel", "pointerleave"]) {
  button.addEventListener(up, () => button.classList.remove("down"));
}
// A key held down is one tap. Pointers were counted when they came down.
button.addEventListener("keydown", (event) => {
  if ((event.key === " " || event.key === "Enter") && !event.repeat) tap();
});
button.addEventListener("contextmenu", (event) => event.preventDefault());

// The page

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("name").value);
});
/** The next who enters here is a new player. */
function beNobody(name) {
  line?.hangUp();
  line = undefined;
  localStorage.removeItem(TOKEN);
  showState("idle");
  showDoor(name);
}

$("leave").addEventListener("click", () => beNobody(me?.name ?? ""));
$("anew").addEventListener("click", () => {
  localStorage.removeItem(NAME);
  beNobody("");
});
$("here").addEventListener("click", () => enter(localStorage.getItem(NAME) ?? ""));
$("try-now").addEventListener("click", () => line?.tryNow());

const known = localStorage.getItem(NAME) ?? "";
showDoor(known);
if (localStorage.getItem(TOKEN) && known) enter(known);
