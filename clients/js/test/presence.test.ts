// Presence as a value, beyond what test/phoenix.test.ts compares: nothing is changed that was given, and nonsense is survived.

import { describe, expect, test } from "vitest";

import { Presence } from "../src/index";

const metas = (...refs: string[]) => ({ metas: refs.map((phx_ref) => ({ phx_ref })) });

test("what was given stays as it was", () => {
  const state = { ada: metas("1"), ben: metas("2") };
  const next = { ada: metas("1", "3"), eve: metas("4") };
  const [stateBefore, nextBefore] = [structuredClone(state), structuredClone(next)];
  const result = Presence.syncState(state, next);
  expect({ ...result }).toEqual(next);
  expect([state, next]).toEqual([stateBefore, nextBefore]);
  const diff = { joins: { ada: metas("5") }, leaves: { eve: metas("4") } };
  const diffBefore = structuredClone(diff);
  expect({ ...Presence.syncDiff(result, diff) }).toEqual({ ada: metas("1", "3", "5") });
  expect(diff).toEqual(diffBefore);
});

test("a list is of entries, or of what is made of them", () => {
  const state = { ada: metas("1"), ben: metas("2", "3") };
  expect(Presence.list(state)).toEqual([metas("1"), metas("2", "3")]);
  expect(Presence.list(state, (key, entry) => [key, entry.metas.length])).toEqual([["ada", 1], ["ben", 2]]);
});

describe("nonsense is survived", () => {
  const check = (nonsense: any) => test(JSON.stringify(nonsense) ?? "undefined", () => {
    const state = { ada: metas("1") };
    expect({ ...Presence.syncDiff(state, nonsense) }).toEqual(state);
    expect({ ...Presence.syncState(state, nonsense) }).toEqual({});
  });
  for (const nonsense of [undefined, null, 7, "text", [], {}, [1], { a: null }, { a: { metas: 7 } }]) check(nonsense);
  check({ joins: null, leaves: 7 });
  check({ joins: { ben: null, eve: {} }, leaves: { ada: { metas: [null, {}] } } });
});
