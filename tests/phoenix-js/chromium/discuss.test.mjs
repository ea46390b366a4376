// Topics and comments as people use them, in pages of a real browser, over networks that break.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";

import { launch } from "../lib/browser.mjs";
import { Server } from "../lib/server.mjs";
import { Wire } from "../lib/wire.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
/** Where the screenshots go. `SCREENSHOTS=docs npm run test:chromium` renews those of the documentation. */
const screenshots = path.resolve(root, process.env.SCREENSHOTS ?? "target/screenshots");
const WAIT_MS_MAX = 20_000;
const SECRET = "a secret that only this test knows";

let browser, folder, server;
before(async () => {
  mkdirSync(screenshots, { recursive: true });
  folder = mkdtempSync(path.join(tmpdir(), "discuss-"));
  browser = await launch();
  server = await start("shared");
});
after(async () => {
  await browser.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** A server with a database of that name. */
function start(name, port = 0) {
  const database = `sqlite://${path.join(folder, `${name}.db`)}`;
  return Server.start("discuss", ["--database", database, "--secret", SECRET], port);
}

/** A person's page: what they see and do. Nothing may go wrong in it. */
class Person {
  /** Comes to the list of topics; without a name as a guest. */
  static async arrive(t, to, name, options = {}, prepare = undefined) {
    const context = await browser.newContext({ locale: "en-GB", timezoneId: "UTC", ...options });
    t.after(() => context.close());
    if (prepare) await context.addInitScript(prepare);
    const person = new Person();
    Object.assign(person, { to, name, context, faults: [] });
    await person.opens("/discuss/");
    if (name) await person.signsIn(name);
    return person;
  }

  /** Opens an address in a new page. */
  async opens(pathname) {
    await this.page?.close();
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(WAIT_MS_MAX);
    this.page.on("pageerror", (error) => this.faults.push(error.message));
    this.page.on("request", (request) => {
      if (new URL(request.url()).host !== `${this.to.host}:${this.to.port}`) this.faults.push(`asked ${request.url()}`);
    });
    await this.page.goto(this.to.http(pathname));
    await this.isOnline();
  }

  async signsIn(name) {
    await this.page.locator("#sign-in").click();
    await this.page.getByLabel("Your name").fill(name);
    await this.page.getByRole("button", { name: "Come in" }).click();
    await this.page.locator("#who").getByText(name, { exact: true }).waitFor({ state: "attached" });
    await this.isOnline();
  }

  async isOnline() {
    await this.page.locator('#state[data-state="online"]').waitFor();
  }

  /** Opens a topic, and says under which path. */
  async begins(title, { membersOnly = false } = {}) {
    await this.page.getByLabel("Title of a new topic").fill(title);
    if (membersOnly) await this.page.getByLabel("For members only").check();
    await this.page.getByRole("button", { name: "Open it" }).click();
    await this.page.getByRole("heading", { name: title }).waitFor();
    await this.isOnline();
    return new URL(this.page.url()).pathname;
  }

  async comments(text) {
    await this.page.getByLabel("Your comment").fill(text);
    await this.page.getByRole("button", { name: "Comment", exact: true }).click();
  }

  /** The comment with this text, once it is there, and only once. */
  async sees(text, state = "sent") {
    const comment = this.page.locator(".comment").filter({ hasText: text });
    await comment.and(this.page.locator(`[data-state="${state}"]`)).first().waitFor();
    assert.equal(await comment.count(), 1, `"${text}" is there once`);
    return comment;
  }

  /** All comments, top to bottom. */
  async thread() {
    return this.page.locator(".content").allTextContents();
  }
}

function noFaults(...people) {
  assert.deepEqual(people.flatMap(({ faults }) => faults), []);
}

describe("discuss", () => {
  test("two people comment, and see each other read", async (t) => {
    const ada = await Person.arrive(t, server, "Ada");
    const topic = await ada.begins("Where do the herons nest?");
    const ben = await Person.arrive(t, server, "Ben");
    await ben.page.getByText("Where do the herons nest?").click();
    await ben.isOnline();
    for (const { page } of [ada, ben]) {
      const readers = page.locator("#readers");
      await readers.getByText("Ada").waitFor();
      await readers.getByText("Ben").waitFor();
    }
    await ben.comments('By the weir! <img src=x onerror="document.title=1"> & 🚀\nSecond line');
    const heard = await ada.sees("By the weir!");
    const text = 'By the weir! <img src=x onerror="document.title=1"> & 🚀\nSecond line';
    assert.equal(await heard.locator(".content").textContent(), text);
    assert.equal(await heard.locator(".from").textContent(), "Ben");
    assert.equal(await heard.locator("img").count(), 0);
    await ada.comments("Thank you");
    await ben.sees("Thank you");
    assert.deepEqual(await ada.thread(), await ben.thread());

    const guest = await Person.arrive(t, server);
    await guest.page.locator(".topic").filter({ hasText: "herons" }).getByText("2 comments").waitFor();
    await guest.opens(topic);
    await guest.sees("Thank you");
    await guest.page.getByText("You read as a guest.").waitFor();
    assert.equal(await guest.page.locator("#composer").isVisible(), false);
    await ada.page.locator("#readers").getByText("1 guest").waitFor();
    await ben.context.close();
    await ada.page.locator("#readers").getByText("Ben").waitFor({ state: "detached" });
    noFaults(ada, ben, guest);
  });

  test("who goes offline keeps writing, and is told what was missed", async (t) => {
    const ada = await Person.arrive(t, server, "Ada");
    const topic = await ada.begins("While you were away");
    await ada.comments("before");
    await ada.sees("before");
    const wire = await Wire.to(server);
    t.after(() => wire.close());
    const ben = await Person.arrive(t, wire, "Ben");
    await ben.opens(topic);
    await ben.sees("before");

    wire.cut();
    await ben.page.getByText("Offline: reconnecting").waitFor();
    await ben.page.getByText("The connection is lost.").waitFor();
    await ben.comments("written offline");
    const waiting = await ben.sees("written offline", "waiting");
    await waiting.getByText("Waiting for the connection…").waitFor();
    for (const text of ["missed 1", "missed 2", "missed 3"]) {
      await ada.comments(text);
      await ada.sees(text);
    }
    assert.deepEqual(await ben.thread(), ["before", "written offline"]);
    wire.mend();
    await ben.isOnline();
    await ben.page.locator("#banner").waitFor({ state: "hidden" });
    await ben.sees("missed 3");
    await ben.sees("written offline");
    await ada.sees("written offline");
    const all = ["before", "missed 1", "missed 2", "missed 3", "written offline"];
    assert.deepEqual(await ben.thread(), all);
    assert.deepEqual(await ada.thread(), all);
    noFaults(ada, ben);
  });

  test("a comment whose answer got lost is there once", async (t) => {
    const ada = await Person.arrive(t, server, "Ada");
    const topic = await ada.begins("Lost answers");
    const wire = await Wire.to(server);
    t.after(() => wire.close());
    const ben = await Person.arrive(t, wire, "Ben");
    await ben.opens(topic);
    await ben.page.locator("#readers").getByText("Ada").waitFor();
    wire.deafen();
    await ben.comments("did this arrive?");
    await ada.sees("did this arrive?");
    await ben.sees("did this arrive?", "sending");
    wire.cut();
    await ben.page.getByText("Offline: reconnecting").waitFor();
    wire.mend();
    await ben.sees("did this arrive?");
    await ben.comments("it did");
    await ada.sees("it did");
    assert.deepEqual(await ada.thread(), ["did this arrive?", "it did"]);
    assert.deepEqual(await ben.thread(), ["did this arrive?", "it did"]);
    // A page that was closed with a comment on its way sends it when it comes back.
    wire.cut();
    await ben.page.getByText("Offline: reconnecting").waitFor();
    await ben.comments("from the page before");
    await ben.sees("from the page before", "waiting");
    wire.mend();
    await ben.page.reload();
    await ben.sees("from the page before");
    await ada.sees("from the page before");
    noFaults(ada, ben);
  });

  test("a server that restarts in the middle loses and doubles nothing", async (t) => {
    const first = await start("restarted");
    const ada = await Person.arrive(t, first, "Ada");
    const topic = await ada.begins("Through a restart");
    const ben = await Person.arrive(t, first, "Ben");
    await ben.opens(topic);
    await ada.comments("before the restart");
    await ben.sees("before the restart");
    await first.stop();
    for (const person of [ada, ben]) {
      await person.page.getByText("Offline: reconnecting").waitFor();
      await person.comments(`${person.name}, meanwhile`);
      await person.sees(`${person.name}, meanwhile`, "waiting");
    }
    const second = await start("restarted", first.port);
    t.after(() => second.stop());
    for (const person of [ada, ben]) {
      // The button goes away should the page have come back by itself in this moment.
      await person.page.getByRole("button", { name: "Try now" }).click({ timeout: 2_000 }).catch(() => {});
    }
    for (const person of [ada, ben]) {
      await person.isOnline();
      await person.sees("Ada, meanwhile");
      await person.sees("Ben, meanwhile");
    }
    await ben.comments("after the restart");
    await ada.sees("after the restart");
    assert.deepEqual(await ada.thread(), await ben.thread());
    assert.equal((await ada.thread()).length, 4);
    noFaults(ada, ben);
  });

  test("what is refused is said in words", async (t) => {
    const ada = await Person.arrive(t, server);
    await ada.page.locator("#sign-in").click();
    await ada.page.getByLabel("Your name").fill("x".repeat(31));
    await ada.page.getByRole("button", { name: "Come in" }).click();
    await ada.page.getByText("A name has at most 30 characters.").waitFor();
    await ada.page.getByLabel("Your name").fill("");
    await ada.page.keyboard.insertText("x".repeat(20_000));
    await ada.page.keyboard.press("Enter");
    await ada.page.getByText("A name has at most 30 characters.").waitFor();
    await ada.page.getByLabel("Your name").fill("\u200b\u3164");
    await ada.page.getByRole("button", { name: "Come in" }).click();
    await ada.page.getByText("A name is required.").waitFor();
    await ada.page.getByLabel("Your name").fill("A\u202eda");
    await ada.page.getByRole("button", { name: "Come in" }).click();
    await ada.page.locator("#my-name").filter({ hasText: "Ada" }).waitFor({ state: "attached" });
    await ada.isOnline();
    await ada.page.getByRole("button", { name: "Open it" }).click();
    await ada.page.getByText("A title is required.").waitFor();
    const topic = await ada.begins("Among ourselves", { membersOnly: true });

    await ada.comments("x".repeat(2_001));
    const failed = await ada.sees("xxx", "failed");
    await failed.getByText("Not stored: A comment has at most 2000 characters.").waitFor();
    await failed.getByRole("button", { name: "Edit" }).click();
    await ada.page.getByText("2001 / 2000").waitFor();
    await ada.comments("shorter");
    await ada.sees("shorter");
    assert.equal((await ada.thread()).length, 1);

    const guest = await Person.arrive(t, server);
    await guest.opens(topic);
    await guest.page.getByText("Sign in to read this topic.").waitFor();
    assert.equal(await guest.page.getByText("shorter").count(), 0);
    await guest.opens("/discuss/topics/987654321");
    await guest.page.getByText("There is no such topic.").waitFor();

    const ben = await Person.arrive(t, server, "Ben");
    await ben.opens(topic);
    await ben.sees("shorter");
    assert.equal(await ben.page.locator("#owner").isVisible(), false);
    await ben.page.getByLabel("Your comment").fill("half of what I was about to say");
    // Signing out in one page signs the others of this browser out.
    const other = await ben.context.newPage();
    await other.goto(server.http("/discuss/"));
    await other.getByRole("button", { name: "Sign out" }).click();
    await ben.page.getByText("You are signed out.").waitFor();
    await ben.page.locator('#state[data-state="refused"]').waitFor();
    await ben.page.getByRole("button", { name: "Sign in again" }).click();
    await ben.page.getByLabel("Your name").fill("Ben");
    await ben.page.getByRole("button", { name: "Come in" }).click();
    await ben.isOnline();
    assert.equal(await ben.page.getByLabel("Your comment").inputValue(), "half of what I was about to say");
    await ben.comments("back again");
    // What was sent is no draft any more.
    await ben.sees("back again");
    await ben.page.reload();
    await ben.isOnline();
    assert.equal(await ben.page.getByLabel("Your comment").inputValue(), "");
    await ada.sees("back again");
    noFaults(ada, ben, guest);
  });

  test("an owner edits and deletes, and everybody sees it", async (t) => {
    const ada = await Person.arrive(t, server, "Ada");
    const topic = await ada.begins("A tiepo");
    const ben = await Person.arrive(t, server, "Ben");
    const guest = await Person.arrive(t, server);
    await ben.opens(topic);
    await ada.page.getByRole("button", { name: "Edit" }).click();
    await ada.page.getByLabel("Title", { exact: true }).fill("A typo");
    await ada.page.getByRole("button", { name: "Save" }).click();
    await ben.page.getByRole("heading", { name: "A typo" }).waitFor();
    await guest.page.getByText("A typo").waitFor();

    await guest.page.getByText("A typo").click();
    await guest.page.getByText("You read as a guest.").waitFor();
    await ada.page.getByRole("button", { name: "Edit" }).click();
    await ada.page.locator("#edit-members-only").check();
    await ada.page.getByRole("button", { name: "Save" }).click();
    await guest.page.getByText("This topic is for members now.").waitFor();
    await ben.page.locator("#topic-by").getByText("members only").waitFor();

    ada.page.once("dialog", (dialog) => dialog.accept());
    await ada.page.getByRole("button", { name: "Delete" }).click();
    await ben.page.getByText("Ada has deleted this topic.").waitFor();
    assert.equal(await ben.page.locator("#composer").isVisible(), false);
    await guest.opens("/discuss/");
    assert.equal(await guest.page.getByText("A typo").count(), 0);
    noFaults(ada, ben, guest);
  });

  test("older comments come when they are asked for, and many missed ones by themselves", async (t) => {
    const ada = await Person.arrive(t, server, "Ada");
    const topic = await ada.begins("A long one");
    const wire = await Wire.to(server);
    t.after(() => wire.close());
    const ben = await Person.arrive(t, wire, "Ben");
    await ben.opens(topic);
    await ada.comments("comment 1.");
    await ben.sees("comment 1.");
    wire.cut();
    await ben.page.getByText("Offline: reconnecting").waitFor();
    const expected = Array.from({ length: 56 }, (_, n) => `comment ${n + 1}.`);
    for (const text of expected.slice(1)) {
      await ada.comments(text);
      await ada.sees(text);
    }
    wire.mend();
    await ben.sees("comment 56.");
    assert.deepEqual(await ben.thread(), expected);

    await ben.page.reload();
    await ben.sees("comment 56.");
    assert.deepEqual(await ben.thread(), expected.slice(6));
    await ben.page.getByRole("button", { name: "Show older comments" }).click();
    await ben.sees("comment 1.");
    assert.deepEqual(await ben.thread(), expected);
    await ben.page.getByRole("button", { name: "Show older comments" }).waitFor({ state: "hidden" });
    noFaults(ada, ben);
  });

  test("everything works over long-polling where there is no WebSocket", async (t) => {
    const ada = await Person.arrive(t, server, "Ada");
    const topic = await ada.begins("Behind a proxy");
    const ben = await Person.arrive(t, server, "Ben", {}, () => delete window.WebSocket);
    await ben.opens(topic);
    await ben.page.getByText("Online (long-polling)").waitFor();
    await ben.comments("by posts and polls");
    await ada.sees("by posts and polls");
    await ada.comments("by a WebSocket");
    await ben.sees("by a WebSocket");
    await ben.sees("by posts and polls");
    await ada.page.locator("#readers").getByText("Ben").waitFor();
    noFaults(ada, ben);
  });

  test("where a WebSocket doesn't get through it connects by long-polling, and says so meanwhile", async (t) => {
    const ada = await Person.arrive(t, server, "Ada");
    const topic = await ada.begins("Behind a wall");
    await ada.comments("can you read this?");
    await ada.sees("can you read this?");
    const context = await browser.newContext();
    t.after(() => context.close());
    await context.addInitScript(() => {
      // One that never opens, as behind a proxy that swallows it.
      window.WebSocket = class extends EventTarget {
        readyState = 0;
        close() {
          this.readyState = 3;
          this.onclose?.({ code: 1006, wasClean: false });
        }
      };
    });
    const page = await context.newPage();
    await page.goto(server.http(topic));
    await page.getByText("Connecting…").waitFor();
    await page.getByText("Loading…").waitFor();
    await page.getByText("Online (long-polling)").waitFor();
    await page.getByText("can you read this?").waitFor();
    noFaults(ada);
  });

  test("it looks as it should, on a desk by day and on a phone by night", async (t) => {
    const shown = await start("shown");
    t.after(() => shown.stop());
    const desk = { viewport: { width: 1100, height: 800 }, colorScheme: "light" };
    const phone = { viewport: { width: 390, height: 800 }, colorScheme: "dark", deviceScaleFactor: 1.5, hasTouch: true };
    const grace = await Person.arrive(t, shown, "Grace", desk);
    await grace.begins("Which field guide for the marshes?");
    await grace.opens("/discuss/");
    await grace.begins("Minutes of the spring meeting", { membersOnly: true });
    await grace.opens("/discuss/");
    const topic = await grace.begins("Where do the herons nest this year?");
    const linus = await Person.arrive(t, shown, "Linus", phone);
    const ines = await Person.arrive(t, shown, "Inês", phone);
    const guest = await Person.arrive(t, shown);
    for (const person of [linus, ines, guest]) await person.opens(topic);
    const talk = [
      [linus, "Two pairs by the old weir, in the tall alders on the far bank. You see them best before seven, when the light comes from behind you."],
      [ines, "And one at the reed island! I counted three young on Sunday."],
      [grace, "Three! That’s more than in the last two years together. Did anybody take a picture?"],
      [ines, "Only with my phone. I’ll bring the long lens on Saturday, if the rain holds off."],
    ];
    for (const [person, text] of talk) {
      await person.comments(text);
      for (const { sees } of [person]) await sees.call(person, text.slice(0, 20));
    }
    for (const person of [grace, linus, ines]) {
      await person.sees("Only with my phone.");
      await person.page.locator("#readers").getByText("Inês").waitFor();
      await person.page.locator("#readers").getByText("1 guest").waitFor();
    }
    await grace.page.evaluate(() => scrollTo(0, 0));
    await grace.page.screenshot({ path: path.join(screenshots, "discuss.png") });
    await linus.page.evaluate(() => scrollTo(0, 0));
    await linus.page.screenshot({ path: path.join(screenshots, "discuss-phone.png") });
    for (const { page } of [grace, linus]) {
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `the page is ${overflow} px wider than its window`);
    }
    await linus.opens("/discuss/");
    await linus.page.getByText("4 comments").waitFor();
    await linus.page.screenshot({ path: path.join(screenshots, "discuss-topics.png") });
    noFaults(grace, linus, ines, guest);
  });
});
