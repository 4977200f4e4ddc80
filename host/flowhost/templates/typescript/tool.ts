// What the plugin does, for whoever reads it next.

import * as v from "valibot";

import { Invalid, defineTool } from "@flowhost/sdk";

export default defineTool({
  name: "count",
  description: "Counts the words and characters of a text.",
  input: v.strictObject({
    text: v.pipe(v.string(), v.description("What is to be counted.")),
  }),
  output: v.object({
    words: v.pipe(v.number(), v.integer(), v.description("Words, as spaces separate them.")),
    characters: v.pipe(v.number(), v.integer(), v.description("Characters, spaces included.")),
  }),
  effects: "none",
  annotations: { readOnly: true, openWorld: false },
  run({ text }) {
    const words = text.split(/\s+/u).filter((word) => word !== "");
    if (words.length === 0) {
      throw new Invalid("the text is empty");
    }
    return { words: words.length, characters: [...text].length };
  },
});
