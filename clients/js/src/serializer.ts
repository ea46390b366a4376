// Messages as frames: version 2 of the protocol, as text and binary.

import { asBytes } from "./bytes";

/** One message of the protocol. `payload` is an `ArrayBuffer` where it came in a binary frame. */
export interface Message {
  join_ref?: string | null | undefined;
  ref?: string | null | undefined;
  topic: string;
  event: string;
  // What it is depends on the event, which the protocol doesn't know.
  payload: any;
}

const FIELD_BYTES_MAX = 255;

/** The default of the socket's `encode` and `decode`. Both give their result to the callback. */
export const Serializer = {
  /** A payload of bytes becomes a binary frame, any other JSON. Throws when a field of a binary frame is too long. */
  encode<T>(message: Message, callback: (frame: string | ArrayBuffer) => T): T {
    const { join_ref, ref, topic, event, payload } = message;
    const bytes = asBytes(payload);
    return callback(bytes ? encodeBinary(message, bytes) : JSON.stringify([join_ref, ref, topic, event, payload]));
  },

  /** Throws where a frame isn't a message. */
  decode<T>(frame: string | ArrayBuffer | ArrayBufferView, callback: (message: Message) => T): T {
    const bytes = asBytes(frame);
    if (bytes) return callback(decodeBinary(bytes));
    const [join_ref, ref, topic, event, payload] = JSON.parse(frame as string);
    return callback({ join_ref, ref, topic, event, payload });
  },
};

// A frame is its kind, the lengths of its fields in bytes, the fields, and the payload.

function encodeBinary(message: Message, payload: Uint8Array): ArrayBuffer {
  const encoder = new TextEncoder();
  const names = ["join_ref", "ref", "topic", "event"] as const;
  const fields = names.map((name) => {
    const field = encoder.encode(message[name] ?? "");
    if (field.length > FIELD_BYTES_MAX) {
      throw new Error(`${name} has ${field.length} bytes; with a binary payload it has at most ${FIELD_BYTES_MAX}`);
    }
    return field;
  });
  const parts = [Uint8Array.of(0, ...fields.map((field) => field.length)), ...fields, payload];
  const frame = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame.buffer;
}

function decodeBinary(bytes: Uint8Array): Message {
  const kind = bytes[0] as number;
  const count = [3, 4, 2][kind];
  if (!count) throw new Error(`a binary frame is of kind 0, 1 or 2, but this one is of kind ${kind}`);
  const decoder = new TextDecoder();
  let at = 1 + count;
  const fields: string[] = [];
  for (let field = 1; field <= count; field += 1) {
    const end = at + (bytes[field] as number);
    if (!(end <= bytes.length)) throw new Error("a binary frame is shorter than it says");
    fields.push(decoder.decode(bytes.subarray(at, end)));
    at = end;
  }
  const [a, b, c, status] = fields as [string, string, string, string];
  const payload = bytes.slice(at).buffer;
  if (kind === 0) return { join_ref: a, ref: null, topic: b, event: c, payload };
  if (kind === 2) return { join_ref: null, ref: null, topic: a, event: b, payload };
  return { join_ref: a, ref: b, topic: c, event: "phx_reply", payload: { status, response: payload } };
}
