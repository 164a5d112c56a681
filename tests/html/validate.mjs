// node validate.mjs: pages as [[name, HTML], ...] in JSON on standard input; what html-validate finds in them as a list of
// sentences in JSON on standard output.
import { HtmlValidate } from "html-validate";
import { json } from "node:stream/consumers";

const validator = new HtmlValidate({
  root: true,
  extends: ["html-validate:recommended", "html-validate:document"],
  rules: {
    // Taste, not validity: the templates are laid out for people (djlint) and Jinja2 leaves white space, a title has the
    // name of what it is about, and several fields may be sent under one name.
    "no-trailing-whitespace": "off",
    "attribute-boolean-style": "off",
    "long-title": "off",
    "form-dup-name": "off",
    // Lists may have a name (WAI-ARIA 1.2, "list").
    "aria-label-misuse": ["error", { allowAnyNamable: true }],
    // What is wrong with a form stands, with a heading, before the page's own.
    "heading-level": ["error", { minInitialRank: "h2" }],
    // The hub's own files, from the hub: the Content-Security-Policy lets no others in.
    "require-sri": "off",
  },
});

const found = [];
for (const [name, text] of await json(process.stdin))
  for (const { messages } of validator.validateStringSync(text).results)
    for (const { line, message, ruleId, selector } of messages)
      found.push(`${name}:${line}: ${message} (${ruleId}) ${selector ?? ""}`);
console.log(JSON.stringify(found));
