// Waiting without sleeping: what happens is put into an inbox, and a test takes what it expects out of it.

const WAIT_MS_MAX = 10_000;

/** Events in the order they came. `take` gives the first one that matches, now or when it comes. */
export class Inbox {
  #name;
  #items = [];
  #waiting = [];

  constructor(name) {
    this.#name = name;
  }

  /** What has come and wasn't taken, oldest first. */
  get items() {
    return [...this.#items];
  }

  put(item) {
    const index = this.#waiting.findIndex((waiter) => waiter.match(item));
    if (index === -1) {
      this.#items.push(item);
      return;
    }
    const [waiter] = this.#waiting.splice(index, 1);
    waiter.resolve(item);
  }

  /**
   * The first item that matches; it is taken out, others stay.
   * @param {(item: any) => boolean} [match] everything by default
   * @param {number} [ms] how long to wait before failing with what is there instead
   */
  take(match = () => true, ms = WAIT_MS_MAX) {
    const index = this.#items.findIndex(match);
    if (index !== -1) return Promise.resolve(this.#items.splice(index, 1)[0]);
    const waiter = { match };
    const promise = new Promise((resolve) => (waiter.resolve = resolve));
    this.#waiting.push(waiter);
    return within(promise, ms, () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
      return `${match} in ${this.#name}, which holds ${shown(this.#items)}`;
    });
  }
}

/** The promise's value, or an error that says what was waited for when it takes longer than `ms`. */
export function within(promise, ms, describe) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${describe()}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function shown(items) {
  const text = JSON.stringify(items) ?? "";
  return text.length > 2_000 ? `${text.slice(0, 2_000)}... (${items.length} items)` : text;
}
