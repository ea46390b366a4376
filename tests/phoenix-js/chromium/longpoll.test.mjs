// Long-polling in a real browser, from a page of another origin.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";

import { launch } from "../lib/browser.mjs";
import { Server } from "../lib/server.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = path.resolve(here, "../node_modules");
/** The clients, by where the page gets them. */
const files = {
  "/phoenix-new.mjs": path.join(modules, "phoenix-new/priv/static/phoenix.mjs"),
  "/phoenix-old.mjs": path.join(modules, "phoenix-old/priv/static/phoenix.mjs"),
  "/bennu.mjs": path.resolve(here, "../../../crates/bennu/src/client/bennu.min.mjs"),
};
const WAIT_MS_MAX = 15_000;
const PAGE = "<!doctype html><meta charset=utf-8><title>long-polling</title>";

let browser, server, pages;
before(async () => {
  browser = await launch();
  server = await Server.start("conformance", ["--window-ms", "500"]);
  pages = createServer((request, response) => {
    const file = files[request.url];
    response.setHeader("content-type", file ? "text/javascript" : "text/html");
    response.end(file ? readFileSync(file) : PAGE);
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
});
after(async () => {
  pages.close();
  await browser.close();
  await server.stop();
});

/** A page with nothing on it, and what the server was asked by it. */
async function open(t) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  const seen = { faults: [], methods: new Set(), webSockets: 0 };
  page.on("pageerror", (error) => seen.faults.push(error.message));
  page.on("request", (request) => {
    if (request.url().includes("/socket/longpoll")) seen.methods.add(request.method());
  });
  page.on("websocket", () => (seen.webSockets += 1));
  return { page, seen, goto: () => page.goto(`http://127.0.0.1:${pages.address().port}/`) };
}

/** In the page: connects, joins, is answered, and hears its own broadcast. */
async function talk({ module, url, options, topic }) {
  const { Socket } = await import(module);
  const socket = new Socket(url, options);
  socket.connect();
  const channel = socket.channel(topic, {});
  const answer = (push) =>
    new Promise((resolve, reject) => {
      push.receive("ok", resolve).receive("error", reject).receive("timeout", () => reject(new Error("timeout")));
    });
  const heard = new Promise((resolve) => channel.on("shout", resolve));
  await answer(channel.join());
  const replies = await Promise.all([1, 2, 3].map((n) => answer(channel.push("ping", { n, text: "é 🚀" }))));
  channel.push("shout", { hello: "all" });
  const shout = await heard;
  const transport = socket.conn.constructor === socket.getLongPollTransport() ? "LongPoll" : "WebSocket";
  // Over a window or two nothing changes.
  await answer(channel.push("slow", { ms: 1_200 }));
  socket.disconnect();
  return { replies: replies.map(({ n }) => n), shout, transport };
}

describe("long-polling in Chromium", () => {
  for (const client of ["phoenix-new", "phoenix-old", "bennu"]) {
    test(`${client} polls where there is no WebSocket`, async (t) => {
      const { page, seen, goto } = await open(t);
      await page.addInitScript(() => delete window.WebSocket);
      await goto();
      const talked = await page.evaluate(talk, {
        module: `/${client}.mjs`,
        url: server.http("/socket"),
        topic: `room:${client}`,
      });
      // The old client posts all at once, in whatever order.
      talked.replies.sort();
      assert.deepEqual(talked, { replies: [1, 2, 3], shout: { hello: "all" }, transport: "LongPoll" });
      assert.deepEqual(seen.faults, []);
      assert.equal(seen.webSockets, 0);
      for (const method of ["GET", "POST"]) assert.ok(seen.methods.has(method), method);
    });
  }

  for (const client of ["phoenix-new", "bennu"]) test(`${client} falls back where a WebSocket doesn't get through`, async (t) => {
    const { page, seen, goto } = await open(t);
    await page.addInitScript(() => {
      window.WebSocket = class extends EventTarget {
        readyState = 0;
        close() {
          this.readyState = 3;
          this.onclose?.({ code: 1006, wasClean: false });
        }
      };
    });
    await goto();
    const talked = await page.evaluate(talk, {
      module: `/${client}.mjs`,
      url: server.ws("/socket"),
      options: { longPollFallbackMs: 200 },
      topic: `room:${client}-fallback`,
    });
    assert.deepEqual(talked, { replies: [1, 2, 3], shout: { hello: "all" }, transport: "LongPoll" });
    assert.deepEqual(seen.faults, []);
  });
});
