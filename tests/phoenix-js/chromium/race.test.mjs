// Whole races as people play them: a big screen and phones, in pages of a real browser.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import path from "node:path";

import { Console, Phone, noFaults, npmClient, others, screenshots, serve, startServer } from "../lib/race-pages.mjs";
import { Bot } from "../lib/racer.mjs";

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
