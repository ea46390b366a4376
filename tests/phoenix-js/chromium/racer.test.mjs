// The tapping race as people play it: a big screen and phones, in pages of a real browser.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";

import { launch } from "../lib/browser.mjs";
import { Bot } from "../lib/racer.mjs";
import { Server } from "../lib/server.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
/** Where the screenshots go. `SCREENSHOTS=docs npm run test:chromium` renews those of the documentation. */
const screenshots = path.resolve(root, process.env.SCREENSHOTS ?? "target/screenshots");
/** Where those go that the documentation doesn't show. */
const others = path.join(root, "target/screenshots");
const npmClient = path.join(root, "tests/phoenix-js/node_modules/phoenix-new/priv/static/phoenix.mjs");
const WAIT_MS_MAX = 20_000;
const GOAL = 12;
const SECRET = "a secret that outlives the server";

let browser;
before(async () => {
  for (const folder of [screenshots, others]) mkdirSync(folder, { recursive: true });
  browser = await launch();
});
after(() => browser.close());

const startServer = (port = 0, goal = GOAL) =>
  Server.start("tap_racer", ["--goal", String(goal), "--secret", SECRET], port);

/** A server that ends with the test. */
async function serve(t, goal) {
  const server = await startServer(0, goal);
  t.after(() => server.stop());
  return server;
}

/** The path of the console, with its token. */
function consolePath(server) {
  const [, found] = /the big screen is at http:\/\/[^/]+(\S+)/.exec(server.lines.join("\n")) ?? [];
  assert.ok(found, "the server says where its console is");
  return found;
}

/** A page, whoever looks at it. Nothing may go wrong in its console, and it asks nobody but its server. */
class Screen {
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

class Console extends Screen {
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

class Phone extends Screen {
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

const noFaults = (...screens) => assert.deepEqual(screens.flatMap(({ faults }) => faults), []);

describe("the tapping race", () => {
  const ways = { "with the client that the server embeds": {}, "with npm's client": { client: npmClient }, "over long-polling": { webSocket: false } };
  for (const [way, options] of Object.entries(ways)) {
    test(`a whole race, and another, ${way}`, async (t) => {
      const server = await serve(t);
      const screen = await Console.arrive(t, server, options);
      await screen.shows("lobby");
      const ada = await Phone.arrive(t, server, "Ada", options);
      const ben = await Phone.arrive(t, server, "Ben <b>", options);
      for (const phone of [ada, ben]) await phone.shows("lobby");
      await screen.seesPlayers("Ada", "Ben <b>");

      await screen.start();
      for (const each of [screen, ada, ben]) await each.shows("countdown");
      for (const each of [screen, ada, ben]) await each.shows("racing");
      await ben.tap(3, 3);
      await screen.lane("Ben <b>").locator(".taps").filter({ hasText: /^3$/ }).waitFor();
      // A late joiner waits for the next race.
      const eve = await Phone.arrive(t, server, "Eve", options);
      await eve.shows("waiting");
      await screen.says("1 waits for the next race");

      await ada.finish();
      await ada.says("You’re in! Waiting for the others.");
      await screen.lane("Ada").locator(".taps").filter({ hasText: / s$/ }).waitFor();
      await ben.finish();
      for (const each of [screen, ada, ben]) await each.shows("finished");
      assert.equal(await ada.page.locator("#result-place").textContent(), "1st");
      await ada.says("You won!");
      assert.equal(await ben.page.locator("#result-place").textContent(), "2nd");
      assert.deepEqual(await screen.page.locator(".step .name").allTextContents(), ["Ada", "Ben <b>"]);
      await eve.says("The race is over.");

      await screen.start();
      for (const each of [screen, ada, ben, eve]) await each.shows("racing");
      await eve.tap(2, 2);
      await ada.hasTaps(0);
      await screen.page.getByRole("button", { name: "Break off" }).click();
      for (const each of [screen, ada, ben, eve]) await each.shows("lobby");
      await eve.page.getByRole("button", { name: "Leave the race" }).click();
      await eve.shows("door");
      await screen.seesPlayers("Ada", "Ben <b>");
      for (const phone of [ada, ben]) await phone.page.getByRole("button", { name: "Leave the race" }).click();
      await screen.says("Nobody yet.");
      if (options.webSocket === false) assert.equal(screen.webSockets + ada.webSockets, 0);
      noFaults(screen, ada, ben, eve);
    });
  }

  test("names that won't do are refused in words, at the door", async (t) => {
    const server = await serve(t);
    const ada = await Phone.arrive(t, server, "  ");
    await ada.says("A name has at least one character.");
    await ada.enter("A name longer than twenty characters");
    await ada.says("A name has at most 20 characters.");
    await ada.enter("Ada 🚀");
    await ada.shows("lobby");
    const other = await Phone.arrive(t, server, "ADA 🚀");
    await other.says("This name is taken.");
    await other.enter("Ada the second");
    await other.shows("lobby");
    for (const phone of [ada, other]) await phone.page.getByRole("button", { name: "Leave the race" }).click();
    noFaults(ada, other);
  });

  test("the console opens by its link only", async (t) => {
    const server = await serve(t);
    const without = await Screen.open(t, server, "/tap-racer/console");
    await without.says("The console opens by the link");
    await without.says("Refused");
    const forged = await Screen.open(t, server, `${consolePath(server).slice(0, -3)}abc`);
    await forged.says("The console opens by the link");
    noFaults(without, forged);
  });

  test("who is kicked is out, and stays out", async (t) => {
    const server = await serve(t);
    const screen = await Console.arrive(t, server);
    const ada = await Phone.arrive(t, server, "Ada");
    await ada.shows("lobby");
    await screen.page.getByRole("button", { name: "Send Ada away" }).click();
    await ada.says("The console sent you away.");
    await screen.says("Nobody yet.");
    await ada.page.reload();
    await ada.says("The console sent you away.");
    noFaults(screen, ada);
  });

  test("a thousand taps at once are mostly ignored", async (t) => {
    const server = await serve(t);
    const screen = await Console.arrive(t, server);
    const ada = await Phone.arrive(t, server, "Ada");
    await ada.shows("lobby");
    await screen.start();
    await ada.shows("racing");
    await ada.page.evaluate(() => {
      const button = document.getElementById("tap");
      for (let n = 0; n < 1_000; n += 1) button.dispatchEvent(new PointerEvent("pointerdown", { cancelable: true }));
    });
    await ada.says(/Too fast: 9\d\d taps didn’t count/);
    await screen.page.getByRole("button", { name: "Break off" }).click();
    await ada.page.getByRole("button", { name: "Leave the race" }).click();
    noFaults(screen, ada);
  });

  test("a page that is loaded anew goes on, and another tab takes over", async (t) => {
    const server = await serve(t);
    const screen = await Console.arrive(t, server);
    const ada = await Phone.arrive(t, server, "Ada");
    await ada.shows("lobby");
    await screen.start();
    await ada.shows("racing");
    // The phone shows what it's going to send, too; the console shows what has counted.
    const counts = (taps) => screen.lane("Ada").locator(".taps").filter({ hasText: new RegExp(`^${taps}$`) }).waitFor();
    await ada.tap(2, 2);
    await counts(2);
    await ada.page.reload();
    await ada.shows("racing");
    await ada.hasTaps(2);

    const tab = await Phone.open(t, server, "/tap-racer/", { context: ada.context });
    await tab.shows("racing");
    await ada.shows("elsewhere");
    await tab.tap(2, 4);
    await counts(4);
    await ada.page.getByRole("button", { name: "Race here instead" }).click();
    await tab.shows("elsewhere");
    await ada.shows("racing");
    await ada.hasTaps(4);
    await ada.tap(1, 5);
    await counts(5);
    await screen.page.getByRole("button", { name: "Break off" }).click();
    await ada.page.getByRole("button", { name: "Leave the race" }).click();
    noFaults(screen, ada, tab);
  });

  test("without a network the page says so, and the console sees who is away", async (t) => {
    const server = await serve(t);
    const screen = await Console.arrive(t, server);
    const ada = await Phone.arrive(t, server, "Ada", { webSocket: false });
    await ada.shows("lobby");
    await ada.context.setOffline(true);
    await ada.says("This device has no network.");
    await ada.context.setOffline(false);
    await ada.isConnected();
    const ben = await Phone.arrive(t, server, "Ben");
    await ben.shows("lobby");
    await ben.page.close();
    await screen.page.locator(".chip.away", { hasText: "Ben" }).waitFor();
    // It's given up after ten seconds.
    await screen.seesPlayers("Ada");
    await ada.page.getByRole("button", { name: "Leave the race" }).click();
    noFaults(screen, ada, ben);
  });
});

test("a restart of the server in the middle of a race", async (t) => {
  const first = await startServer();
  const screen = await Console.arrive(t, first);
  const ada = await Phone.arrive(t, first, "Ada");
  const ben = await Phone.arrive(t, first, "Ben");
  await screen.seesPlayers("Ada", "Ben");
  await screen.start();
  for (const each of [screen, ada, ben]) await each.shows("racing");
  await ada.tap(2, 2);

  await first.kill();
  for (const each of [screen, ada, ben]) {
    await each.says("Reconnecting…");
    await each.says("The connection is lost.");
  }
  await ada.page.getByRole("button", { name: "Tap!" }).click();
  await ada.says("No connection: taps don’t count now.");

  const second = await startServer(first.port);
  t.after(() => second.stop());
  // The race is gone with the server that had it; its players are here under their names.
  for (const each of [screen, ada, ben]) {
    await each.isConnected();
    await each.shows("lobby");
  }
  await screen.seesPlayers("Ada", "Ben");
  await screen.start();
  for (const each of [screen, ada, ben]) await each.shows("racing");
  await ada.hasTaps(0);
  await ada.tap(1, 1);
  await screen.lane("Ada").locator(".taps").filter({ hasText: /^1$/ }).waitFor();
  noFaults(screen, ada, ben);
});

test("it looks as it should, on a big screen by day and on a phone by night", async (t) => {
  const server = await serve(t, 100);
  const desk = { viewport: { width: 1280, height: 760 }, colorScheme: "light" };
  const phone = { viewport: { width: 390, height: 800 }, colorScheme: "dark", deviceScaleFactor: 1.5, hasTouch: true };
  const screen = await Console.arrive(t, server, desk);
  const names = ["Grace", "Linus", "Margaret", "Dennis", "Barbara", "Edsger", "Radia", "Ken"];
  const bots = [];
  for (const name of names) bots.push(await Bot.enter(t, server, name));
  const ada = await Phone.arrive(t, server, "Ada", phone);
  await ada.shows("lobby");
  await screen.seesPlayers(...names, "Ada");
  await screen.fitsItsWindow();
  await screen.page.screenshot({ path: path.join(others, "tap-racer-lobby.png") });
  await screen.start();
  await ada.shows("racing");
  const taps = [61, 74, 48, 83, 66, 57, 79, 42];
  await Promise.all([ada.tap(36, 36), ...bots.map((bot, n) => bot.tapUpTo(taps[n]))]);
  await screen.lane("Ada").locator(".taps").filter({ hasText: /^36$/ }).waitFor();
  for (const [n, name] of names.entries()) {
    await screen.lane(name).locator(".taps").filter({ hasText: new RegExp(`^${taps[n]}$`) }).waitFor();
  }
  await ada.page.locator("#place").filter({ hasText: "9th" }).waitFor();
  await screen.page.screenshot({ path: path.join(screenshots, "tap-racer-console.png") });
  await ada.page.screenshot({ path: path.join(screenshots, "tap-racer-phone.png") });
  for (const each of [screen, ada]) await each.fitsItsWindow();
  await Promise.all([...bots.map((bot) => bot.tapUpTo(100))]);
  await ada.finish();
  await screen.shows("finished");
  await screen.fitsItsWindow();
  await screen.page.screenshot({ path: path.join(others, "tap-racer-result.png") });
  noFaults(screen, ada);
});
