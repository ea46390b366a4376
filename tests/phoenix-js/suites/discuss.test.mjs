// What the page of examples/discuss knows of its comments, without a page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

// As a browser would: to some releases of Node a file of this name is no module.
const file = new URL("../../../examples/discuss/page/thread.js", import.meta.url);
const { Thread, uuid } = await import(`data:text/javascript,${encodeURIComponent(readFileSync(file, "utf8"))}`);

/** What browsers keep for a page. */
class Store extends Map {
  getItem = (key) => this.get(key) ?? null;
  setItem = (key, value) => this.set(key, value);
  removeItem = (key) => this.delete(key);
}

const comment = (id) => ({ id, client_id: `c${id}`, by: "Ada", content: `comment ${id}`, at: id });
const comments = (...ids) => ids.map(comment);

function welcomed(ids, { newest = Math.max(0, ...ids), older = false, newer = false } = {}) {
  const thread = new Thread(new Store(), "outbox");
  thread.welcome({ topic: { comments: newest }, comments: comments(...ids), older, newer });
  return thread;
}

const ids = (thread) => thread.list().map(({ id }) => id);

describe("the page's comments", () => {
  test("are in the server's order, each once, however they arrive", () => {
    const thread = welcomed([3, 4], { older: true });
    assert.equal(thread.receive(comment(6)), true);
    assert.equal(thread.seen, 4);
    assert.equal(thread.hasGap(), true);
    assert.equal(thread.receive(comment(5)), true);
    assert.equal(thread.receive(comment(5)), false);
    assert.equal(thread.seen, 6);
    assert.equal(thread.hasGap(), false);
    thread.prepend({ comments: comments(1, 2), older: false });
    assert.deepEqual(ids(thread), [1, 2, 3, 4, 5, 6]);
    assert.equal(thread.seen, 6);
  });

  test("are asked for from the last one before a gap", () => {
    const thread = welcomed([1]);
    thread.receive(comment(4));
    assert.equal(thread.seen, 1);
    assert.equal(thread.welcome({ topic: { comments: 4 }, comments: comments(2, 3, 4), newer: false }), false);
    assert.equal(thread.seen, 4);
  });

  test("begin at the first that is told where there is none", () => {
    const thread = welcomed([]);
    assert.equal(thread.seen, 0);
    thread.receive(comment(1));
    assert.equal(thread.seen, 1);
  });

  test("say that more is to be fetched", () => {
    const thread = welcomed([1]);
    const page = { topic: { comments: 9 }, comments: comments(2, 3), newer: true };
    assert.equal(thread.welcome(page), true);
    assert.equal(thread.seen, 3);
  });

  test("are forgotten when the server has", () => {
    const thread = welcomed([1, 2, 3]);
    thread.welcome({ topic: { comments: 1 }, comments: comments(1), older: false, newer: false });
    assert.deepEqual(ids(thread), [1]);
    assert.equal(thread.seen, 1);
  });
});

describe("comments of our own", () => {
  test("wait, are sent, and are sent again when the connection was lost", () => {
    const thread = welcomed([1]);
    const { client_id } = thread.write("Ada", "mine");
    const taken = () => thread.takeWaiting().map((it) => it.client_id);
    assert.deepEqual(taken(), [client_id]);
    assert.deepEqual(taken(), []);
    thread.stall();
    assert.deepEqual(taken(), [client_id]);
    thread.receive({ ...comment(2), client_id });
    assert.deepEqual(ids(thread), [1, 2]);
    assert.deepEqual(taken(), []);
  });

  test("stay with the reason when they are refused, and outlive the page until they are confirmed", () => {
    const store = new Store();
    const thread = new Thread(store, "outbox");
    const { client_id } = thread.write("Ada", "mine");
    thread.takeWaiting();
    thread.fail(client_id, "no");
    thread.stall();
    assert.deepEqual(thread.takeWaiting(), []);
    assert.equal(thread.list()[0].reason, "no");

    const after = new Thread(store, "outbox");
    assert.deepEqual(after.takeWaiting().map(({ content }) => content), ["mine"]);
    after.confirm(client_id);
    assert.equal(store.size, 0);
    store.set("outbox", "not JSON");
    assert.deepEqual(new Thread(store, "outbox").list(), []);
  });

  test("have ids as the server takes them", () => {
    assert.match(uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.notEqual(uuid(), uuid());
  });
});
