// What the server does with junk: a refusal or a close that says why, and nobody else notices.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";

import { Raw, refusal } from "../lib/raw.mjs";
import { Server } from "../lib/server.mjs";

let server;
before(async () => {
  server = await Server.start("conformance");
});
after(() => server.stop());

describe("closed with a code and a reason, while others go on", () => {
  const text = (value) => (raw) => raw.send(typeof value === "string" ? value : JSON.stringify(value));
  const bytes = (...values) => (raw) => raw.send(Buffer.from(values));
  const cases = {
    "text that isn't JSON": [text("{not json"), 1007],
    "an empty message": [text(""), 1007],
    "an array that is too short": [text(["1", "1", "room:a", "ping"]), 1007],
    "an object where an array belongs": [text({ topic: "phoenix", event: "heartbeat", payload: {}, ref: "1" }), 1007],
    "JSON nested too deep": [text(`[null,"1","phoenix","heartbeat",${"[".repeat(5_000)}${"]".repeat(5_000)}]`), 1007],
    "text that isn't UTF-8": [(raw) => raw.ws.send(Buffer.from([0x22, 0xff, 0xfe]), { binary: false }), 1007],
    "a binary message of an unknown kind": [bytes(9, 0, 0, 0, 0), 1002],
    "a binary message that ends within its header": [bytes(0, 1, 2), 1002],
    "a binary message shorter than its lengths": [bytes(0, 200, 200, 200, 200, 1, 2, 3), 1002],
    "a message larger than the server takes": [(raw) => raw.send(Buffer.alloc(10_000_001)), 1009],
    "fragments that add up to more than the server takes": [fragments(9, 1_000_000), 1009],
  };
  for (const [name, [send, code]] of Object.entries(cases)) {
    test(`${name}: ${code}`, async (t) => {
      const [bystander, raw] = [await Raw.open(t, server), await Raw.open(t, server)];
      bystander.send(["1", "1", "room:bystander", "phx_join", {}]);
      await bystander.frame();
      send(raw);
      const closed = await raw.closed();
      assert.equal(closed.code, code, JSON.stringify(closed));
      assert.notEqual(closed.reason, "", "a close says why");
      bystander.send(["1", "2", "room:bystander", "ping", { n: 1 }]);
      const pong = ["1", "2", "room:bystander", "phx_reply", { status: "ok", response: { n: 1 } }];
      assert.deepEqual(await bystander.frame(), pong);
    });
  }

  test("a frame that breaks RFC 6455: 1002", async (t) => {
    const raw = await Raw.open(t, server);
    // An unmasked frame, which a client must never send and ws never would.
    raw.ws._socket.write(Buffer.from([0x81, 0x02, 0x5b, 0x5d]));
    assert.equal((await raw.closed()).code, 1002);
  });

  function fragments(count, size) {
    return (raw) => {
      for (let n = 1; n <= count; n += 1) raw.ws.send(Buffer.alloc(size, 0x20), { binary: false, fin: n === count });
    };
  }
});

test("8 MB pass in one message, both ways", async (t) => {
  const raw = await Raw.open(t, server);
  raw.send(["1", "1", "room:8mb", "phx_join", {}]);
  await raw.frame();
  const payload = "x".repeat(7_999_900);
  raw.send(["1", "2", "room:8mb", "ping", payload]);
  const [, , , , { response }] = await raw.frame();
  assert.ok(response === payload, "the reply differs");
});

test("a message in many fragments is one message", async (t) => {
  const raw = await Raw.open(t, server);
  const message = Buffer.from(JSON.stringify([null, "1", "phoenix", "heartbeat", { text: "é🚀".repeat(50) }]));
  for (let n = 0; n < message.length; n += 1) {
    raw.ws.send(message.subarray(n, n + 1), { binary: false, fin: n === message.length - 1 });
  }
  assert.deepEqual(await raw.frame(), [null, "1", "phoenix", "phx_reply", { status: "ok", response: {} }]);
});

test("a ping is answered with its own bytes", async (t) => {
  const raw = await Raw.open(t, server);
  raw.ws.ping("are you there?");
  assert.equal(await raw.pong(), "are you there?");
});

test("a close is answered with a close", async (t) => {
  for (const code of [1000, 1001, 3000, 4999]) {
    const raw = await Raw.open(t, server);
    raw.ws.close(code, "bye");
    assert.equal((await raw.closed()).code, 1000, `after ${code}`);
  }
});

test("a server that ends closes with 1012 whoever is connected, joined or not", async (t) => {
  const ending = await Server.start("conformance");
  const idlers = await Promise.all([1, 2, 3].map(() => Raw.open(t, ending)));
  const joined = await Raw.open(t, ending, "?vsn=1.0.0");
  joined.send({ topic: "room:a", event: "phx_join", payload: {}, ref: "1" });
  await joined.frame();
  await ending.stop();
  for (const raw of [...idlers, joined]) {
    const { code, reason } = await raw.closed();
    assert.equal(code, 1012);
    assert.match(reason, /^draining retry_ms=\d+$/);
    assert.deepEqual(raw.unread, []);
  }
});

describe("refused at the handshake", () => {
  for (const query of ["?vsn=3.0.0", "?vsn=2.1.0", "?vsn=2", "?vsn=", "?vsn[]=2.0.0", "?vsn=2.0.0-rc.1"]) {
    test(`the version of ${query}`, async () => {
      assert.equal(await refusal(server, `/socket/websocket${query}`), 403);
    });
  }

  test("a path beside the socket", async () => {
    for (const pathname of ["/socket", "/socket/websocket/x", "/websocket"]) {
      assert.equal(await refusal(server, `${pathname}?vsn=2.0.0`), 404, pathname);
    }
  });

  test("a subprotocol that isn't spoken here", async () => {
    assert.equal(await refusal(server, "/socket/websocket?vsn=2.0.0", { protocols: ["mqtt"] }), 403);
  });

  test("a request that isn't an upgrade", async () => {
    const response = await fetch(server.http("/socket/websocket?vsn=2.0.0"));
    assert.ok([400, 426].includes(response.status), `${response.status}`);
    const post = await fetch(server.http("/socket/websocket?vsn=2.0.0"), { method: "POST", body: "{}" });
    assert.ok([400, 405].includes(post.status), `${post.status}`);
  });

  test("an origin that isn't on the list", async (t) => {
    const guarded = await Server.start("conformance", ["--check-origin", "//example.com,https://*.example.org"]);
    t.after(() => guarded.stop());
    const path = "/socket/websocket?vsn=2.0.0";
    for (const origin of ["https://evil.com", "https://example.com.evil.com", "null", "http://a.example.org"]) {
      assert.equal(await refusal(guarded, path, { origin }), 403, origin);
    }
    for (const origin of ["https://example.com", "http://example.com:8080", "https://a.b.example.org", undefined]) {
      await Raw.open(t, guarded, "?vsn=2.0.0", origin === undefined ? {} : { origin });
    }
  });
});

test("versions within the known ones are spoken", async (t) => {
  for (const query of ["?vsn=2.0.5", "?vsn=2.0.0%2Bbuild", "?vsn=9.0.0&vsn=2.0.0", "?vsn=2.0.0&token=good&a[b]=1"]) {
    const raw = await Raw.open(t, server, query);
    raw.send([null, "1", "phoenix", "heartbeat", {}]);
    assert.deepEqual(await raw.frame(), [null, "1", "phoenix", "phx_reply", { status: "ok", response: {} }], query);
  }
});

test("the broadcast request says what is wrong with it", async () => {
  const bodies = ["", "{", "[]", "{}", '{"topic":"room:a"}', '{"topic":1,"event":"e","payload":{}}'];
  for (const body of bodies) {
    const headers = { "content-type": "application/json" };
    const response = await fetch(server.http("/broadcast"), { method: "POST", headers, body });
    assert.equal(response.status, 400, body);
    assert.notEqual((await response.text()).trim(), "", body);
  }
});

test("health and metrics answer", async () => {
  assert.equal((await fetch(server.http("/health"))).status, 200);
  const metrics = await fetch(server.http("/metrics"));
  assert.equal(metrics.status, 200);
  assert.match(await metrics.text(), /^# TYPE \w+ (counter|gauge|histogram)$/m);
});

test("options that make no sense end it with 2 and one line", () => {
  for (const args of [["--no-such-option"], ["--port", "no"], ["--port"]]) {
    const { status, stderr } = spawnSync(Server.file("conformance"), args, { encoding: "utf8", timeout: 10_000 });
    assert.equal(status, 2, args.join(" "));
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
});
