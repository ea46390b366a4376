// The tapping race's pages, as whoever looks at them: a big screen, and phones.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";

import { launch } from "./browser.mjs";
import { Server } from "./server.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
/** Where the screenshots go. `SCREENSHOTS=docs npm run test:chromium` renews those of the documentation. */
export const screenshots = path.resolve(root, process.env.SCREENSHOTS ?? "target/screenshots");
/** Where those go that the documentation doesn't show. */
export const others = path.join(root, "target/screenshots");
export const npmClient = path.join(root, "tests/phoenix-js/node_modules/phoenix-new/priv/static/phoenix.mjs");
const WAIT_MS_MAX = 20_000;
const GOAL = 12;
const SECRET = "a secret that outlives the server";

let browser;
before(async () => {
  for (const folder of [screenshots, others]) mkdirSync(folder, { recursive: true });
  browser = await launch();
});
after(() => browser.close());

export const startServer = (port = 0, goal = GOAL) =>
  Server.start("tap_racer", ["--goal", String(goal), "--secret", SECRET], port);

/** A server that ends with the test. */
export async function serve(t, goal) {
  const server = await startServer(0, goal);
  t.after(() => server.stop());
  return server;
}

/** The path of the console, with its token. */
export function consolePath(server) {
  const [, found] = /the big screen is at http:\/\/[^/]+(\S+)/.exec(server.lines.join("\n")) ?? [];
  assert.ok(found, "the server says where its console is");
  return found;
}

/** A page, whoever looks at it. Nothing may go wrong in its console, and it asks nobody but its server. */
export class Screen {
  static async open(t, server, pathname, { context, client, webSocket = true, ...options } = {}) {
    if (!context) {
      context = await browser.newContext({ locale: "en-GB", ...options });
      t.after(() => context.close());
    }
    const screen = new this();
    screen.context = context;
    screen.page = await context.newPage();
    screen.page.setDefaultTimeout(WAIT_MS_MAX);
    screen.faults = [];
    screen.webSockets = 0;
    screen.page.on("websocket", () => (screen.webSockets += 1));
    screen.page.on("pageerror", (error) => screen.faults.push(error.message));
    screen.page.on("request", (request) => {
      const { host, protocol } = new URL(request.url());
      if (protocol !== "data:" && host !== `${server.host}:${server.port}`) screen.faults.push(`asked ${request.url()}`);
    });
    if (!webSocket) await screen.page.addInitScript(() => delete window.WebSocket);
    if (client) await screen.page.route("**/bennu.mjs", (route) => route.fulfill({ path: client, contentType: "text/javascript" }));
    await screen.page.goto(server.http(pathname));
    return screen;
  }

  /** Waits for this screen of the page. */
  async shows(name) {
    await this.page.locator(`#stage[data-screen="${name}"]`).waitFor();
  }

  async says(text) {
    await this.page.getByText(text).filter({ visible: true }).first().waitFor();
  }

  async isConnected() {
    await this.page.locator('#state[data-state="online"]').waitFor();
  }

  async fitsItsWindow() {
    const overflow = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} px wider than its window`);
  }
}

export class Console extends Screen {
  static async arrive(t, server, options) {
    const screen = await this.open(t, server, consolePath(server), options);
    await screen.isConnected();
    return screen;
  }

  async seesPlayers(...names) {
    for (const name of names) await this.page.locator("#players .name", { hasText: name }).waitFor();
    await this.page.locator("#present-count").filter({ hasText: new RegExp(`^${names.length}$`) }).waitFor();
  }

  async start() {
    await this.page.getByRole("button", { name: /Start the race|Race again/ }).click();
  }

  lane(name) {
    return this.page.locator(".lane").filter({ hasText: name });
  }
}

export class Phone extends Screen {
  static async arrive(t, server, name, options) {
    const screen = await this.open(t, server, "/tap-racer/", options);
    await screen.enter(name);
    return screen;
  }

  async enter(name) {
    await this.page.getByLabel("Your name").fill(name);
    await this.page.getByRole("button", { name: "Enter the race" }).click();
  }

  /** Taps as a quick finger does, and waits until the server has counted so many in all. */
  async tap(times, expected) {
    const button = this.page.getByRole("button", { name: "Tap!" });
    for (let n = 0; n < times; n += 1) await button.click({ delay: 5 });
    if (expected !== undefined) await this.hasTaps(expected);
  }

  async hasTaps(taps) {
    await this.page.locator("#taps").filter({ hasText: new RegExp(`^${taps}$`) }).waitFor();
  }

  /** Taps until the race is over: what is beyond the limit doesn't count. */
  async finish() {
    const button = this.page.locator("#tap");
    while (await button.isEnabled() && await button.isVisible()) await button.click({ delay: 5, timeout: 2_000 }).catch(() => {});
  }
}

export const noFaults = (...screens) => assert.deepEqual(screens.flatMap(({ faults }) => faults), []);
