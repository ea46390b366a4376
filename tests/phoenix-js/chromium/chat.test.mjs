// The chat as people use it: two of them, in two pages of a real browser.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";

import { launch } from "../lib/browser.mjs";
import { Server } from "../lib/server.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
/** Where the screenshots go. `SCREENSHOTS=docs npm run test:chromium` renews those of the documentation. */
const screenshots = path.resolve(root, process.env.SCREENSHOTS ?? "target/screenshots");
const WAIT_MS_MAX = 15_000;

/** What the page gets as /bennu.mjs: what the server has there, or npm's phoenix in its place. */
const clients = {
  "the client that the server embeds": undefined,
  "the npm client": path.join(root, "tests/phoenix-js/node_modules/phoenix-new/priv/static/phoenix.mjs"),
};

let browser;
before(async () => {
  mkdirSync(screenshots, { recursive: true });
  browser = await launch();
});
after(() => browser.close());

/** A person's page: what they see and do. Nothing may go wrong in its console. */
class Person {
  static async arrive(t, server, file, name, options = {}) {
    const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
    t.after(() => context.close());
    const person = new Person();
    person.page = await context.newPage();
    person.page.setDefaultTimeout(WAIT_MS_MAX);
    person.faults = [];
    let clientsLoaded = 0;
    if (file) await person.page.route("**/bennu.mjs", (route) => {
      clientsLoaded += 1;
      return route.fulfill({ path: file, contentType: "text/javascript" });
    });
    person.page.on("pageerror", (error) => person.faults.push(error.message));
    person.page.on("request", (request) => {
      if (new URL(request.url()).host !== `${server.host}:${server.port}`) person.faults.push(`asked ${request.url()}`);
    });
    await person.page.goto(server.http("/"));
    if (file) assert.equal(clientsLoaded, 1, "the page asked for its client");
    await person.call(name);
    return person;
  }

  /** Gives a name at the door. */
  async call(name) {
    await this.page.getByLabel("Your name").fill(name);
    await this.page.getByRole("button", { name: "Enter the chat" }).click();
  }

  async say(text) {
    await this.page.locator("#body").fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** The message with this text, once it is there. */
  async sees(text, state = "sent") {
    const message = this.page.locator(`.message[data-state="${state}"]`).filter({ hasText: text });
    await message.first().waitFor();
    assert.equal(await message.count(), 1, `"${text}" is there once`);
    return message;
  }

  async isOnline() {
    await this.page.locator('#state[data-state="online"]').waitFor();
  }

  async enters(room) {
    await this.page.locator(`[data-room="${room}"]`).click();
    await this.page.getByRole("heading", { name: `# ${room}` }).waitFor();
  }
}

for (const [client, file] of Object.entries(clients)) {
  describe(`with ${client}`, () => {
    let server;
    before(async () => {
      server = await Server.start("chat");
    });
    after(() => server.stop());

    test("two people talk, and see each other type", async (t) => {
      const ada = await Person.arrive(t, server, file, "Ada");
      await ada.isOnline();
      const ben = await Person.arrive(t, server, file, "Ben");
      await ben.isOnline();
      await ada.page.getByText("Ben came in").waitFor();
      await ada.page.getByText("2 here").waitFor();

      await ben.page.locator("#body").pressSequentially("Hel");
      await ada.page.getByText("Ben is typing…").waitFor();
      await ben.say("Hello Ada! <b>not bold</b> & 🚀");
      const heard = await ada.sees("Hello Ada!");
      assert.equal(await heard.locator(".body").textContent(), "Hello Ada! <b>not bold</b> & 🚀");
      assert.equal(await heard.locator(".from").textContent(), "Ben");
      await ada.page.locator("#typing:empty").waitFor({ state: "attached" });
      await ada.say("Hello Ben");
      await ben.sees("Hello Ben");
      await ada.sees("Hello Ben");

      await ben.page.context().close();
      await ada.page.getByText("Ben left").waitFor();
      await ada.page.getByText("1 here").waitFor();
      assert.deepEqual([...ada.faults, ...ben.faults], []);
    });

    test("a message that is refused stays, with the reason, and can be mended", async (t) => {
      const ada = await Person.arrive(t, server, file, "Ada");
      await ada.isOnline();
      await ada.enters("phoenix");
      await ada.say("x".repeat(2_001));
      const failed = await ada.sees("xxx", "failed");
      await failed.getByText(/Not sent: .*2,?000/).waitFor();
      await failed.getByRole("button", { name: "Try again" }).click();
      await ada.sees("xxx", "failed");
      await ada.page.getByRole("button", { name: "Edit" }).click();
      assert.equal((await ada.page.locator("#body").inputValue()).length, 2_001);
      await ada.page.getByText("2001 / 2000").waitFor();
      await ada.say("shorter");
      await ada.sees("shorter");
      assert.equal(await ada.page.locator('[data-state="failed"]').count(), 0);
      assert.deepEqual(ada.faults, []);
    });

    test("rooms are apart, count what is unread, and remember", async (t) => {
      const ada = await Person.arrive(t, server, file, "Ada");
      const ben = await Person.arrive(t, server, file, "Ben");
      await Promise.all([ada.isOnline(), ben.isOnline()]);
      await ben.enters("rust");
      await ben.say("only for rust");
      await ben.say("and once more");
      const badge = ada.page.locator('[data-room="rust"] .unread');
      await badge.filter({ hasText: "2" }).waitFor();
      assert.equal(await ada.page.getByText("only for rust").count(), 0);
      await ada.enters("rust");
      await ada.sees("only for rust");
      await ada.sees("and once more");
      await badge.waitFor({ state: "detached" });

      for (const person of [ada, ben]) {
        await person.page.getByLabel("Name of a new room").fill("Late Night Café");
        await person.page.keyboard.press("Enter");
        await person.page.getByRole("heading", { name: "# late-night-café" }).waitFor();
      }
      await ben.say("in our own room");
      await ada.sees("in our own room");
      await ada.page.reload();
      await ada.isOnline();
      await ada.enters("late-night-café");
      await ada.sees("in our own room");
      await ada.page.getByRole("button", { name: "Leave" }).click();
      await ada.page.getByRole("heading", { name: "# lobby" }).waitFor();
      assert.equal(await ada.page.locator('[data-room="late-night-café"]').count(), 0);
      assert.deepEqual([...ada.faults, ...ben.faults], []);
    });

    test("a name that the server refuses is told at the door", async (t) => {
      const ada = await Person.arrive(t, server, file, "A name longer than twenty characters");
      await ada.page.getByText("The server refused the connection").waitFor();
      await ada.call("   ");
      await ada.page.getByText("A name has at least one character").waitFor();
      await ada.call("A\u202eda");
      await ada.page.getByText("all can be seen").waitFor();
      await ada.call("Ada 🚀");
      await ada.isOnline();
      await ada.page.locator("#my-name").filter({ hasText: "Ada 🚀" }).waitFor();
      assert.deepEqual(ada.faults, []);
    });

    test("a room that the server refuses says why", async (t) => {
      const ada = await Person.arrive(t, server, file, "Ada");
      await ada.isOnline();
      await ada.page.getByLabel("Name of a new room").fill("鷺".repeat(30));
      await ada.page.keyboard.press("Enter");
      await ada.page.getByText(/doesn’t let you in here: .*64 bytes/).waitFor();
      await ada.say("anyone?");
      const failed = await ada.sees("anyone?", "failed");
      await failed.getByText(/Not sent: .*64 bytes/).waitFor();
      await ada.page.getByRole("button", { name: "Leave" }).click();
      await ada.say("back in the lobby");
      await ada.sees("back in the lobby");
      assert.deepEqual(ada.faults, []);
    });

    test("when the server goes away the page says so, and recovers when it is back", async (t) => {
      const first = await Server.start("chat");
      const ada = await Person.arrive(t, first, file, "Ada");
      const ben = await Person.arrive(t, first, file, "Ben");
      await Promise.all([ada.isOnline(), ben.isOnline()]);
      await ada.say("before");
      await ben.sees("before");

      await first.stop();
      for (const { page } of [ada, ben]) {
        await page.getByText("Offline: reconnecting").waitFor();
        await page.getByText("The connection is lost.").waitFor();
      }
      await ada.say("while away");
      const waiting = await ada.sees("while away", "pending");
      await waiting.getByText("Waiting for the connection…").waitFor();

      const second = await Server.start("chat", [], first.port);
      t.after(() => second.stop());
      // The button goes away should the page have come back by itself in this moment.
      await ada.page.getByRole("button", { name: "Try now" }).click({ timeout: 2_000 }).catch(() => {});
      await Promise.all([ada.isOnline(), ben.isOnline()]);
      await ada.page.locator("#banner").waitFor({ state: "hidden" });
      await ada.sees("while away");
      await ben.sees("while away");
      await ben.say("welcome back");
      await ada.sees("welcome back");
      await ada.sees("before");
      assert.deepEqual([...ada.faults, ...ben.faults], []);
    });

    test("it looks as it should, on a desk by day and on a phone by night", async (t) => {
      const desk = { viewport: { width: 1200, height: 760 }, colorScheme: "light" };
      const phone = { viewport: { width: 390, height: 800 }, colorScheme: "dark", deviceScaleFactor: 1.5, hasTouch: true };
      const grace = await Person.arrive(t, server, file, "Grace", desk);
      const linus = await Person.arrive(t, server, file, "Linus", phone);
      await Promise.all([grace.isOnline(), linus.isOnline()]);
      for (const person of [grace, linus]) {
        await person.page.getByLabel("Name of a new room").fill("river-watch");
        await person.page.keyboard.press("Enter");
        await person.page.getByRole("heading", { name: "# river-watch" }).waitFor();
      }
      const talk = [
        [grace, "Morning! Has anyone seen the heron today?"],
        [linus, "Twice. It stands by the weir at sunrise and doesn’t mind the rowers at all."],
        [linus, "I’ll bring the long lens tomorrow."],
        [grace, "Lovely. Six o’clock at the boathouse?"],
        [grace, "I’ll bring coffee."],
        [linus, "Then I’m in. Who could say no to that?"],
      ];
      for (const [person, text] of talk) {
        await person.say(text);
        await Promise.all([grace.sees(text), linus.sees(text)]);
      }
      await linus.enters("rust");
      await linus.say("cargo run, and there it is");
      await grace.page.locator('[data-room="rust"] .unread').waitFor();
      await linus.enters("river-watch");
      await linus.page.locator("#body").pressSequentially("And");
      await grace.page.getByText("Linus is typing…").waitFor();
      if (!file) {
        await grace.page.screenshot({ path: path.join(screenshots, "chat.png") });
        await linus.page.locator("#body").fill("");
        await linus.page.screenshot({ path: path.join(screenshots, "chat-phone.png") });
      }
      for (const { page } of [grace, linus]) {
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(overflow <= 0, `the page is ${overflow} px wider than its window`);
      }
      assert.deepEqual([...grace.faults, ...linus.faults], []);
    });
  });
}
