// `Math.random` and `crypto` by the host's randomness.

import * as random from "../host/random.js";

Math.random = random.number;
Object.assign(crypto, {
  randomUUID: random.uuid,
  getRandomValues<View extends ArrayBufferView>(view: View): View {
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(random.bytes(view.byteLength));
    return view;
  },
});
