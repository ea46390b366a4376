// The scenarios in a page of Chromium, with the file that the server embeds.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { Server } from "../../../../tests/phoenix-js/lib/server.mjs";
import { scenarios } from "../scenarios";

const EMBEDDED = path.resolve(import.meta.dirname, "../../../../crates/bennu/src/client");
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

let browser: Browser;
let server: any;
let pages: HttpServer;
let page: Page | undefined;
const faults: string[] = [];

beforeAll(async () => {
  const { outputFiles } = await build({ entryPoints: [path.join(import.meta.dirname, "../scenarios.ts")], bundle: true, format: "esm", write: false });
  const files: Record<string, [type: string, text: string]> = {
    "/": ["text/html", "<!doctype html><meta charset=utf-8><title>@bennu/client</title><script type=module src=/page.mjs></script>"],
    "/page.mjs": ["text/javascript", 'import * as client from "/bennu.min.mjs"; import * as all from "/scenarios.mjs"; Object.assign(window, { client }, all);'],
    "/script": ["text/html", "<!doctype html><meta charset=utf-8><title>script</title><script src=/bennu.min.js></script>"],
    "/scenarios.mjs": ["text/javascript", outputFiles[0]?.text ?? ""],
    "/bennu.min.mjs": ["text/javascript", readFileSync(path.join(EMBEDDED, "bennu.min.mjs"), "utf8")],
    "/bennu.min.js": ["text/javascript", readFileSync(path.join(EMBEDDED, "bennu.min.js"), "utf8")],
  };
  pages = createServer((request, response) => {
    const [type, text] = files[request.url ?? ""] ?? ["text/plain", ""];
    response.writeHead(text ? 200 : 404, { "content-type": type }).end(text);
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  server = await Server.start("conformance", ["--window-ms", "2000"]);
  browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? find(),
    // As root in a container there is no sandbox; the pages are our own.
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});
afterAll(async () => {
  await browser?.close();
  pages?.close();
  await server?.stop();
});
afterEach(async () => {
  await page?.close();
  page = undefined;
  expect(faults.splice(0)).toEqual([]);
});

function find(): string {
  for (const name of NAMES) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // Not under this name.
    }
  }
  throw new Error(`none of ${NAMES.join(", ")} is installed; as root: apt-get install chromium`);
}

async function open(where = "/"): Promise<Page> {
  page = await browser.newPage();
  page.on("pageerror", (error) => faults.push(error.message));
  await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}${where}`);
  return page;
}

let count = 0;
for (const transport of ["WebSocket", "LongPoll"]) {
  describe(`over ${transport} in Chromium`, () => {
    for (const name of Object.keys(scenarios)) {
      test(name, async () => {
        const at = await open();
        await at.evaluate(
          async ({ name, transport, ...rest }) => {
            const { client, scenarios } = window as any;
            const options = {
              transport: transport === "LongPoll" ? client.LongPoll : WebSocket,
              reconnectAfterMs: () => 20,
              rejoinAfterMs: () => 20,
            };
            await scenarios[name]({ client, transport, options, ...rest });
          },
          { name, transport, socketUrl: server.ws("/socket"), httpUrl: server.http(""), unique: `page-${(count += 1)}` },
        );
      });
    }
  });
}

test("as a script it is the global Bennu", async () => {
  const at = await open("/script");
  const reply = await at.evaluate(async (url) => {
    const { Bennu } = window as any;
    const socket = new Bennu.Socket(url);
    socket.connect();
    const room = socket.channel("room:script");
    await room.join();
    return [Object.keys(Bennu).sort(), await room.push("ping", { n: 1 })];
  }, server.ws("/socket"));
  expect(reply).toEqual([["Channel", "LongPoll", "Presence", "Push", "PushError", "Serializer", "Socket", "Timer"], { n: 1 }]);
});

test("a page that goes into the browser's cache is disconnected, and connected again when it comes back", async () => {
  const at = await open();
  const states = await at.evaluate(async (url) => {
    const socket = new (window as any).client.Socket(url);
    socket.connect();
    const room = socket.channel("room:cached");
    await room.join();
    const states = [socket.connectionState()];
    const closed = new Promise((resolve) => socket.onClose(resolve));
    window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
    await closed;
    states.push(socket.connectionState());
    window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    await room.push("ping", {});
    return [...states, socket.connectionState()];
  }, server.ws("/socket"));
  expect(states).toEqual(["open", "closed", "open"]);
});
