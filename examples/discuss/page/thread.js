// What is known of a topic's comments, as plain data: no network, no page.

/** UTF-16 units of a comment that is worth sending: the server takes fewer, and says so. */
const SENT_LENGTH_MAX = 10_000;

/**
 * Comments by their ids, which count up without gaps; and those of our own that the server hasn't confirmed, which are
 * kept in `store` until it has.
 */
export class Thread {
  constructor(store, key) {
    this.comments = new Map();
    this.older = false;
    /** Up to here nothing is missing. Undefined before the first page. */
    this.seen = undefined;
    this.store = store;
    this.key = key;
    this.outbox = load(store, key).map((comment) => ({ ...comment, state: "waiting" }));
  }

  /** In the order of the server, with our own unconfirmed ones behind. */
  list() {
    const known = [...this.comments.values()].sort((a, b) => a.id - b.id);
    return [...known, ...this.outbox];
  }

  /** The newest comments, or those after the last one seen: what a join is answered. */
  welcome({ topic, comments, older, newer }) {
    // The server has forgotten what we have seen: it is another one.
    if (this.seen > topic.comments) this.forget();
    const first = this.seen === undefined;
    if (first) {
      this.older = older;
      this.seen = (comments[0]?.id ?? topic.comments + 1) - 1;
    }
    for (const comment of comments) this.receive(comment);
    return newer || this.hasGap();
  }

  /** A page of older comments. */
  prepend({ comments, older }) {
    this.older = older;
    for (const comment of comments) this.receive(comment);
  }

  /** A comment that the server told of. Says whether it is new. */
  receive(comment) {
    this.confirm(comment.client_id);
    const fresh = !this.comments.has(comment.id);
    this.comments.set(comment.id, comment);
    while (this.comments.has(this.seen + 1)) this.seen += 1;
    return fresh;
  }

  /** Whether there is a comment behind one that isn't there. */
  hasGap() {
    return [...this.comments.keys()].some((id) => id > this.seen + 1);
  }

  first() {
    return Math.min(...this.comments.keys());
  }

  /** A comment of our own on its way. */
  write(by, content) {
    const comment = { client_id: uuid(), by, content, at: Date.now(), state: "waiting" };
    this.outbox.push(comment);
    this.save();
    return comment;
  }

  /** Those that are to be sent, which from now on are. One that no frame holds would end the connection, again and again. */
  takeWaiting() {
    for (const { state, content, client_id } of this.outbox) {
      if (state === "waiting" && content.length > SENT_LENGTH_MAX) this.fail(client_id, "too long");
    }
    const waiting = this.outbox.filter(({ state }) => state === "waiting");
    for (const comment of waiting) comment.state = "sending";
    return waiting;
  }

  /** The connection is lost: what was on its way may have arrived or not, so it is sent again. */
  stall() {
    for (const comment of this.outbox) if (comment.state === "sending") comment.state = "waiting";
  }

  fail(client_id, reason) {
    const comment = this.outbox.find((it) => it.client_id === client_id);
    if (comment) Object.assign(comment, { state: "failed", reason });
  }

  retry(client_id) {
    const comment = this.outbox.find((it) => it.client_id === client_id);
    if (comment) Object.assign(comment, { state: "waiting", reason: undefined });
  }

  /** The server has it, or it is no longer wanted. */
  confirm(client_id) {
    const rest = this.outbox.filter((it) => it.client_id !== client_id);
    if (rest.length === this.outbox.length) return;
    this.outbox = rest;
    this.save();
  }

  forget() {
    this.comments.clear();
    this.seen = undefined;
  }

  save() {
    const kept = this.outbox.map(({ client_id, by, content, at }) => ({ client_id, by, content, at }));
    try {
      if (kept.length > 0) this.store.setItem(this.key, JSON.stringify(kept));
      else this.store.removeItem(this.key);
    } catch {
      // Full or forbidden: it is kept as long as the page is.
    }
  }
}

function load(store, key) {
  try {
    const kept = JSON.parse(store.getItem(key) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

/** A UUID of version 4. (`crypto.randomUUID` is missing where the page isn't served by HTTPS.) */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
