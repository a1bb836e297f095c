// Reads {name: LaTeX} from standard input, writes {name: {html} or {error}}: strict, as MathML that browsers show.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const katex = createRequire(resolve(process.env.KATEX) + "/")("katex");
const answer = {};
for (const [name, text] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  try {
    answer[name] = { html: katex.renderToString(text, { displayMode: true, output: "mathml", strict: "error" }) };
  } catch (error) {
    answer[name] = { error: error.message };
  }
}
process.stdout.write(JSON.stringify(answer));
