// Long-polling against a server that answers as the test says.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { LongPoll, Socket } from "../src/index";

interface Request {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | null;
  answer: (answer: object | string) => void;
  fail: () => void;
  aborted: () => boolean;
}

let requests: Request[];

beforeEach(() => {
  vi.useFakeTimers();
  requests = [];
  vi.stubGlobal("fetch", (url: string, { method, headers, body, signal }: any) => new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    requests.push({
      method,
      url,
      headers,
      body,
      answer: (answer) => resolve(new Response(typeof answer === "string" ? answer : JSON.stringify(answer))),
      fail: () => reject(new TypeError("failed to fetch")),
      aborted: () => signal.aborted,
    });
  }));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const tick = (ms = 5) => vi.advanceTimersByTimeAsync(ms);
/** Takes the requests that were made since. */
const taken = () => requests.splice(0);
function one(): Request {
  const [request, ...others] = taken();
  expect(others).toEqual([]);
  return request as Request;
}

function poller(): { poll: LongPoll; log: unknown[] } {
  const poll = new LongPoll("ws://host/socket/websocket?a=1&vsn=2.0.0", undefined);
  const log: unknown[] = [];
  poll.timeout = 20_000;
  poll.onopen = () => log.push("open");
  poll.onerror = (error) => log.push({ error });
  poll.onclose = ({ code, reason, wasClean }) => log.push({ code, reason, wasClean });
  poll.onmessage = ({ data }) => log.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
  return { poll, log };
}

async function opened() {
  const { poll, log } = poller();
  await tick();
  one().answer({ status: 410, token: "t 1", messages: [] });
  await tick();
  expect(log.splice(0)).toEqual(["open"]);
  return { poll, log };
}

describe("a session", () => {
  test("begins with a GET that says that bytes are welcome, and polls with its token", async () => {
    poller();
    await tick();
    const first = one();
    expect(first).toMatchObject({ method: "GET", url: "http://host/socket/longpoll?a=1&vsn=2.0.0&binary=base64", body: null });
    first.answer({ status: 410, token: "t 1", messages: [] });
    await tick();
    const second = one();
    expect(second).toMatchObject({ method: "GET", url: "http://host/socket/longpoll?a=1&vsn=2.0.0&token=t%201" });
    second.answer({ status: 204, token: "t 1", messages: [] });
    await tick();
    expect(one().url).toBe(second.url);
  });

  test("brings texts and bytes, each in a turn of its own", async () => {
    const { poll, log } = await opened();
    const { onmessage } = poll;
    poll.onmessage = (event) => {
      onmessage(event);
      void Promise.resolve().then(() => log.push("after"));
    };
    one().answer({ status: 200, token: "t 1", messages: ['["a"]', "AAH/", '{"v":1}', "\u0001?"] });
    await tick();
    expect(log).toEqual(['["a"]', "after", [0, 1, 255], "after", '{"v":1}', "after", "\u0001?", "after"]);
  });

  const failures: Record<string, [answer: object | string, told: object[]]> = {
    "that is gone": [{ status: 410, token: "t 2" }, [{ error: 410 }, { code: 3410, reason: "session_gone", wasClean: false }]],
    "that is refused": [{ status: 403 }, [{ error: 403 }, { code: 1008, reason: "forbidden", wasClean: false }]],
    "that is refused for good": [{ status: 403, final: true }, [{ error: 403 }, { code: 1008, reason: "forbidden retry=never", wasClean: false }]],
    "whose server fails": [{ status: 500 }, [{ error: 500 }, { code: 1011, reason: "internal server error", wasClean: false }]],
    "whose server says something else": [{ status: 299 }, [{ error: 299 }, { code: 1011, reason: "internal server error", wasClean: false }]],
    "whose server speaks no JSON": ["<html>", [{ error: 500 }, { code: 1011, reason: "internal server error", wasClean: false }]],
    "whose server says nothing": ["null", [{ error: 500 }, { code: 1011, reason: "internal server error", wasClean: false }]],
  };
  for (const [name, [answer, told]] of Object.entries(failures)) {
    test(`${name} ends`, async () => {
      const { log, poll } = await opened();
      one().answer(answer);
      await tick();
      expect(log).toEqual(told);
      expect(poll.readyState).toBe(3);
      await tick(60_000);
      expect(taken()).toEqual([]);
    });
  }

  const closes: Record<string, [answer: object, told: unknown[]]> = {
    "while it waits": [{ status: 204, close: { code: 1012, reason: "draining retry_ms=7" } }, [{ code: 1012, reason: "draining retry_ms=7", wasClean: true }]],
    "with last messages": [
      { status: 200, messages: ['["a"]', '["b"]'], close: { code: 1001, reason: "disconnected" } },
      ['["a"]', '["b"]', { code: 1001, reason: "disconnected", wasClean: true }],
    ],
    "before it polls": [
      { status: 410, token: "t 2", messages: [], close: { code: 1013, reason: "slow consumer" } },
      [{ code: 1013, reason: "slow consumer", wasClean: true }],
    ],
    "and says so in another way": [{ status: 204, close: { code: "x" } }, [{ code: 1011, reason: "", wasClean: true }]],
  };
  for (const [name, [answer, told]] of Object.entries(closes)) {
    test(`that the server closes ${name} ends with its reason`, async () => {
      const { log, poll } = await opened();
      one().answer(answer);
      await tick();
      expect(log).toEqual(told);
      expect(poll.readyState).toBe(3);
      await tick(60_000);
      expect(taken()).toEqual([]);
    });
  }

  test("that the server closes while something is posted waits for the last messages", async () => {
    const { log, poll } = await opened();
    const [get] = taken();
    poll.send("[1]");
    await tick();
    one().answer({ status: 410, close: { code: 1001, reason: "disconnected" } });
    await tick();
    expect(log).toEqual([]);
    get?.answer({ status: 200, messages: ['["a"]'], close: { code: 1001, reason: "disconnected" } });
    await tick();
    expect(log).toEqual(['["a"]', { code: 1001, reason: "disconnected", wasClean: true }]);
  });

  test("ends when a request takes too long, or doesn't get through", async () => {
    const slow = await opened();
    const request = one();
    await tick(20_000);
    expect(slow.log).toEqual([{ error: "timeout" }, { code: 1005, reason: "timeout", wasClean: false }]);
    expect(request.aborted()).toBe(true);
    const cut = await opened();
    one().fail();
    await tick();
    expect(cut.log).toEqual([{ error: 500 }, { code: 1011, reason: "internal server error", wasClean: false }]);
  });

  test("whose server answers with nonsense goes on", async () => {
    const { log } = await opened();
    for (const messages of ["[1]", null, 7, {}, [7, null, { a: 1 }]]) {
      one().answer({ status: 200, messages });
      await tick();
    }
    expect(one().url).toContain("token=t%201");
    // They are for the decoder to refuse.
    expect(log).toHaveLength(3);
  });

  test("goes on though the callback of its opening throws", async () => {
    const { poll } = poller();
    const thrown: unknown[] = [];
    const unhandled = (error: unknown) => thrown.push(error);
    process.on("unhandledRejection", unhandled);
    poll.onopen = () => {
      throw "mine";
    };
    await tick();
    one().answer({ status: 410, token: "t 1" });
    await tick();
    expect(one().method).toBe("GET");
    vi.useRealTimers();
    await new Promise((resolve) => setTimeout(resolve));
    process.off("unhandledRejection", unhandled);
    expect(thrown).toEqual(["mine"]);
  });

  test("that is closed hears nothing any more", async () => {
    const { poll, log } = await opened();
    const request = one();
    request.answer({ status: 200, token: "t 1", messages: ['["a"]', '["b"]'] });
    poll.onmessage = ({ data }) => {
      log.push(data);
      poll.close(1000, "enough");
    };
    await tick();
    expect(log).toEqual(['["a"]', { code: 1000, reason: "enough", wasClean: true }]);
    for (const other of taken()) expect(other.aborted()).toBe(true);
    const unopened = poller();
    unopened.poll.close();
    await tick();
    expect(unopened.log).toEqual([{ code: 1005, reason: "", wasClean: true }]);
    expect(taken()).toEqual([]);
  });
});

test("who is told of a failure may close, and is told of that once", async () => {
  const { poll, log } = await opened();
  poll.onerror = () => poll.close(1000, "mine");
  one().answer({ status: 500 });
  await tick();
  poll.close();
  expect(log).toEqual([{ code: 1000, reason: "mine", wasClean: true }]);
});

describe("what is sent", () => {
  test("in one turn goes together, as lines, and the rest when that has arrived", async () => {
    const { poll } = await opened();
    taken();
    poll.send("[1]");
    poll.send(Uint8Array.of(0, 1, 255).buffer);
    poll.send("[2]");
    expect(poll.bufferedAmount).toBe(3);
    await tick();
    const first = one();
    expect(first).toMatchObject({ method: "POST", body: "[1]\nAAH/\n[2]", headers: { "content-type": "application/x-ndjson" } });
    poll.send("[3]");
    poll.send("[4]");
    await tick();
    expect(taken()).toEqual([]);
    expect(poll.bufferedAmount).toBe(5);
    first.answer({ status: 200 });
    await tick();
    const second = one();
    expect(second.body).toBe("[3]\n[4]");
    second.answer({ status: 200 });
    await tick();
    expect(poll.bufferedAmount).toBe(0);
    poll.send("[5]");
    await tick();
    expect(one().body).toBe("[5]");
  });

  test("goes a hundred at a time", async () => {
    const { poll } = await opened();
    taken();
    for (let n = 0; n < 250; n += 1) poll.send(`[${n}]`);
    const sizes: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      await tick();
      const request = one();
      sizes.push(request.body?.split("\n").length ?? 0);
      request.answer({ status: 200 });
    }
    expect(sizes).toEqual([100, 100, 50]);
  });

  test("and isn't taken ends the session", async () => {
    const check = async (answer: object, error: number) => {
      const { poll, log } = await opened();
      const [get] = taken();
      poll.send("[1]");
      await tick();
      one().answer(answer);
      await tick();
      expect(log).toEqual([{ error }, { code: 1011, reason: "internal server error", wasClean: false }]);
      expect(get?.aborted()).toBe(true);
    };
    await check({ status: 408 }, 408);
    await check({ status: 410 }, 410);
  });
});

test("a token is told in a header, whatever its letters", async () => {
  const socket = new Socket("ws://host/socket", { transport: LongPoll, authToken: () => "grüße?/" });
  socket.connect();
  await tick();
  expect(one().headers["x-phoenix-authtoken"]).toBe("grüße?/");
});

test("a refusal for good is the last word", async () => {
  const socket = new Socket("ws://host/socket", { transport: LongPoll });
  socket.connect();
  await tick();
  one().answer({ status: 403, final: true });
  await tick(60_000);
  expect(taken()).toEqual([]);
  const stubborn = new Socket("ws://host/socket", { transport: LongPoll, retryConnect: () => true });
  stubborn.connect();
  await tick();
  one().answer({ status: 403, final: true });
  await tick(100);
  expect(taken().length).toBe(1);
});

test("a disconnect waits for what is on its way", async () => {
  const socket = new Socket("ws://host/socket", { transport: LongPoll });
  socket.connect();
  await tick();
  one().answer({ status: 410, token: "t", messages: [] });
  await tick();
  taken();
  socket.push({ topic: "t", event: "last", payload: {}, ref: "1" });
  const gone = socket.disconnect();
  await tick();
  const post = one();
  expect(post.body).toContain("last");
  expect(post.aborted()).toBe(false);
  post.answer({ status: 200 });
  await tick(200);
  await gone;
  expect(socket.connectionState()).toBe("closed");
});
