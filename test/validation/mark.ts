// Set-up of the jest run under the validation layer (scripts/test.mjs): says into the layer's pipe which test comes next, so that
// a message can be told apart from the others'.
import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';

const pipe = process.env.VKPN_VALIDATION_PIPE;
if (pipe === undefined) throw new Error('VKPN_VALIDATION_PIPE is not set: this runs through scripts/test.mjs only');

beforeEach(() => {
  const { testPath, currentTestName } = expect.getState();
  appendFileSync(pipe, `in test: ${relative('.', testPath ?? '?')} › ${currentTestName ?? '?'}\n`);
});
