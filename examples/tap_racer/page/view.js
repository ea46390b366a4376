// What both pages make of the server's views, without a page: no network, no elements.

/** Keeps the newest of the views that come, whatever their order, and what is told in between. */
export class Race {
  view = undefined;
  /** When the present stage ends at the latest, on this page's clock. */
  until = 0;

  /** Says whether the view is news. After a restart of the server `begin` makes room for lower versions. */
  take(view, now) {
    if (this.view && view.version < this.view.version) return false;
    this.view = view;
    this.until = now + view.left_ms;
    return true;
  }

  /** A new connection: what comes is true, even when it's an older version, because the server began anew. */
  begin() {
    this.view = undefined;
  }

  /** The lanes that changed, as their numbers. Taps never go back, in whatever order they're told. */
  progress({ race, taps, ended }) {
    if (!this.view || this.view.race !== race) return [];
    for (const [at, count] of taps) {
      const lane = this.view.lanes[at];
      if (lane) lane.taps = Math.max(lane.taps, count);
    }
    for (const [at, ms] of ended) {
      const lane = this.view.lanes[at];
      if (lane) Object.assign(lane, { finished_ms: ms, out: ms === null });
    }
    return taps.map(([at]) => at);
  }

  order({ race, order }) {
    if (this.view?.race === race) this.view.order = order;
  }

  laneOf(id) {
    return this.view ? this.view.lanes.findIndex((lane) => lane.id === id) : -1;
  }

  /** The place of a lane, from 1. */
  placeOf(at) {
    return this.view.order.indexOf(at) + 1;
  }
}

/** 1 → "1st". */
export function ordinal(n) {
  const tens = n % 100;
  const suffix = tens > 10 && tens < 14 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${suffix}`;
}

/** The server's reasons are parts of sentences. */
export function sentence(reason) {
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
}

export function seconds(ms) {
  return `${(ms / 1_000).toFixed(2)} s`;
}

/** How a lane ended. */
export function ending(lane) {
  if (lane.finished_ms !== null) return seconds(lane.finished_ms);
  return lane.out ? "gave up" : `${lane.taps} taps`;
}

export const $ = (id) => document.getElementById(id);

/** An element with properties and children; strings become text, so nothing that people write becomes markup. */
export function element(tag, properties = {}, ...children) {
  const { dataset, ...plain } = properties;
  const node = Object.assign(document.createElement(tag), plain);
  Object.assign(node.dataset, dataset);
  node.append(...children);
  return node;
}

/** Shows one screen of the page. */
export function showScreen(name) {
  const stage = $("stage");
  if (stage.dataset.screen === name) return;
  stage.dataset.screen = name;
  for (const screen of stage.children) screen.hidden = screen.dataset.on !== name;
}

/** Writes only what differs, so that screen readers say it once. */
export function write(id, text) {
  const node = $(id);
  if (node.textContent !== String(text)) node.textContent = text;
}

/** The digits of a countdown; calls back each time there is another, until there is none. */
export function countDown(race, show) {
  const version = race.view.version;
  const tick = () => {
    if (race.view?.version !== version || race.view.phase !== "countdown") return;
    const left = race.until - Date.now();
    show(left > 0 ? Math.ceil(left / 1_000) : "Go!");
    if (left > 0) setTimeout(tick, left % 1_000 || 1_000);
  };
  tick();
}

/** The colour that stands for a player: the golden angle keeps names that are nearly the same apart. */
export function hue(name) {
  let hash = 7;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 65_521;
  return Math.round(hash * 137.508) % 360;
}
