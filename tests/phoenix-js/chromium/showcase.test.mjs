// All applications at one address, as somebody comes to them: from the first page, with and without WebSockets.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";

import { launch } from "../lib/browser.mjs";
import { Server } from "../lib/server.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
/** Where the screenshots go. `SCREENSHOTS=docs npm run test:chromium` renews those of the documentation. */
const screenshots = path.resolve(root, process.env.SCREENSHOTS ?? "target/screenshots");
const WAIT_MS_MAX = 15_000;

let browser, folder, server;
before(async () => {
  mkdirSync(screenshots, { recursive: true });
  folder = mkdtempSync(path.join(tmpdir(), "showcase-"));
  browser = await launch();
  server = await start();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

function start(port = 0) {
  return Server.start("showcase", ["--bind", "127.0.0.1", "--data", path.join(folder, "data")], port);
}

/** Somebody with a browser. Nothing may go wrong in it, and it asks nobody but its server. */
class Visitor {
  static async arrive(t, { name = "Ada", webSocket = true, ...options } = {}) {
    const context = await browser.newContext({ locale: "en-GB", ...options });
    t.after(() => context.close());
    if (!webSocket) await context.addInitScript(() => delete window.WebSocket);
    const visitor = new Visitor();
    Object.assign(visitor, { name, faults: [], webSockets: 0, polls: 0 });
    visitor.page = await context.newPage();
    visitor.page.setDefaultTimeout(WAIT_MS_MAX);
    visitor.page.on("pageerror", (error) => visitor.faults.push(error.message));
    visitor.page.on("websocket", () => (visitor.webSockets += 1));
    visitor.page.on("request", (request) => {
      const { host, pathname } = new URL(request.url());
      if (host !== `${server.host}:${server.port}`) visitor.faults.push(`asked ${request.url()}`);
      if (pathname.endsWith("/socket/longpoll")) visitor.polls += 1;
    });
    visitor.page.on("response", (response) => {
      if (response.status() === 404) visitor.faults.push(`${response.url()} isn't there`);
    });
    await visitor.comes();
    return visitor;
  }

  /** To the first page. */
  async comes() {
    await this.page.goto(server.http("/"));
    await this.page.getByRole("heading", { name: "Bennu" }).waitFor();
  }

  /** From there to an application. */
  async follows(link) {
    await this.comes();
    await this.page.getByRole("link", { name: link }).click();
  }

  async isOnline() {
    await this.page.locator('#state[data-state="online"]').waitFor();
  }

  async chats(text) {
    await this.follows("Enter the chat");
    await this.page.getByLabel("Your name").fill(this.name);
    await this.page.getByRole("button", { name: "Enter the chat" }).click();
    await this.isOnline();
    await this.page.locator("#body").fill(text);
    await this.page.keyboard.press("Enter");
    await this.page.locator('.message[data-state="sent"]').filter({ hasText: text }).waitFor();
  }

  async discusses(title) {
    await this.follows("Read and write");
    await this.isOnline();
    await this.page.locator("#sign-in").click();
    await this.page.getByLabel("Your name").fill(this.name);
    await this.page.getByRole("button", { name: "Come in" }).click();
    await this.page.locator("#who").getByText(this.name, { exact: true }).waitFor({ state: "attached" });
    await this.isOnline();
    await this.page.getByLabel("Title of a new topic").fill(title);
    await this.page.getByRole("button", { name: "Open it" }).click();
    await this.page.getByRole("heading", { name: title }).waitFor();
    await this.isOnline();
    await this.page.getByLabel("Your comment").fill("Here I am.");
    await this.page.getByRole("button", { name: "Comment", exact: true }).click();
    await this.page.locator("#comments").getByText("Here I am.").waitFor();
  }

  async races() {
    await this.follows("Join the race");
    await this.page.getByLabel("Your name").fill(this.name);
    await this.page.getByRole("button", { name: "Enter the race" }).click();
    await this.page.locator('#stage[data-screen="lobby"]').waitFor();
    await this.isOnline();
  }

  async watches() {
    await this.follows("Big screen");
    await this.isOnline();
  }

  async fits() {
    const overflow = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} px wider than its window`);
  }
}

describe("the showcase", () => {
  test("the first page looks as it should, on a desk by day and on a phone by night", async (t) => {
    const desk = { viewport: { width: 1100, height: 700 }, colorScheme: "light" };
    const phone = { viewport: { width: 390, height: 800 }, colorScheme: "dark", deviceScaleFactor: 1.5, hasTouch: true };
    for (const [options, file] of [[desk, "showcase.png"], [phone, "showcase-phone.png"]]) {
      const visitor = await Visitor.arrive(t, options);
      await visitor.fits();
      // Only the one on a desk is part of the documentation.
      const target = options === desk ? screenshots : path.join(root, "target/screenshots");
      mkdirSync(target, { recursive: true });
      await visitor.page.screenshot({ path: path.join(target, file) });
      assert.deepEqual(visitor.faults, []);
    }
  });

  for (const webSocket of [true, false]) {
    test(`every application opens and talks over ${webSocket ? "WebSockets" : "long-polling, where there are none"}`, async (t) => {
      // The race keeps a name for whoever loses the connection.
      const visitor = await Visitor.arrive(t, { webSocket, name: webSocket ? "Ada" : "Ben" });
      await visitor.chats(`hello over ${webSocket}`);
      await visitor.discusses(`A topic over ${webSocket}`);
      await visitor.races();
      await visitor.watches();
      await visitor.page.locator("#players .name", { hasText: visitor.name }).waitFor();
      if (webSocket) {
        assert.ok(visitor.webSockets >= 4, `${visitor.webSockets} WebSockets`);
        assert.equal(visitor.polls, 0);
      } else {
        assert.equal(visitor.webSockets, 0);
        assert.ok(visitor.polls >= 4, `${visitor.polls} polls`);
      }
      assert.deepEqual(visitor.faults, []);
    });
  }

  test("what was written is there after a restart, and nobody is signed out", async (t) => {
    const visitor = await Visitor.arrive(t);
    await visitor.discusses("Does it last?");
    const { port } = server;
    await server.stop();
    server = await start(port);
    await visitor.follows("Read and write");
    await visitor.page.locator("#who").getByText("Ada", { exact: true }).waitFor({ state: "attached" });
    await visitor.page.getByRole("link", { name: "Does it last?" }).click();
    await visitor.page.locator("#comments").getByText("Here I am.").waitFor();
    assert.deepEqual(visitor.faults, []);
  });

  test("a port that is taken is told in one line", async () => {
    await assert.rejects(start(server.port), new RegExp(`^Error: .*\\nerror: port ${server.port} is taken[^\\n]*\\n?$`));
  });
});
