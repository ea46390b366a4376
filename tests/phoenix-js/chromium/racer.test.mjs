// Who may race, and what becomes of those who don't do as they should or can't.

import { describe, test } from "node:test";

import { Console, Phone, Screen, consolePath, noFaults, serve } from "../lib/race-pages.mjs";

describe("racers", () => {
  test("names that won't do are refused in words, at the door", async (t) => {
    const server = await serve(t);
    const ada = await Phone.arrive(t, server, "  ");
    await ada.says("A name has at least one character.");
    await ada.enter("A name longer than twenty characters");
    await ada.says("A name has at most 20 characters.");
    // As much as would end the connection isn't taken into the field.
    await ada.page.getByLabel("Your name").fill("");
    await ada.page.keyboard.insertText("x".repeat(20_000));
    await ada.page.keyboard.press("Enter");
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
    // Under another name they may try again.
    await ada.page.getByRole("button", { name: "Come as somebody else" }).click();
    await ada.shows("door");
    await ada.enter("Grace");
    await ada.shows("lobby");
    await screen.seesPlayers("Grace");
    await ada.page.getByRole("button", { name: "Leave the race" }).click();
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
