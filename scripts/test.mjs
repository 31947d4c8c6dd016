// npm test [-- PATTERN…]: lint, build, spirv-val, jest on the system's lavapipe, jest on the newer lavapipe (cooperative
// matrices) under the validation layer. The last line counts everything: "N passed, N failed". See docs/testing.md.
//   npm test -- PATTERN…             only jest, only test files whose path matches, on the first driver
//   npm test -- --second PATTERN…    the same on the second driver, validated
//   npm test -- --gpu-assisted PATTERN…   the same, with GPU-assisted validation in place of core and synchronisation validation
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lints, report } from './lint.mjs';
import { root, run } from './run.mjs';
import { checkShaders } from './shaders.mjs';

process.chdir(root);
const scratch = join('build', 'test');
rmSync(scratch, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });

/** What runs on both drivers: all that uses the addon in its own process, but not whole trainings, which are slow under validation. */
const SECOND_DRIVER = ['test/unit/gpu(-graph|-run|-matrix)?\\.test', 'test/kernels/'];
const FIRST_DRIVER_ONLY = '\\.long\\.test\\.ts$';

const count = { passed: 0, failed: 0 };
const tally = (ok) => (ok ? count.passed++ : count.failed++);
const title = (text) => console.log(`\n=== ${text}`);

/** spirv-val on every module, for the Vulkan version that its SPIR-V version belongs to. */
async function spirvVal() {
  const files = readdirSync('dist/glsl', { recursive: true }).filter((file) => file.endsWith('.spv')).map((file) => join('dist/glsl', file));
  const lines = [];
  for (const file of files) {
    const target = readFileSync(file).readUInt32LE(4) > 0x10300 ? 'vulkan1.3' : 'vulkan1.1';
    const { code, output } = await run('.deps/bin/spirv-val', ['--target-env', target, file], { quiet: true });
    if (code !== 0) lines.push(`${file} (${target}): ${output.trim()}`);
  }
  return files.length === 0 ? 'no module in dist/glsl' : lines.join('\n');
}

/** The environment of the first driver: the system's lavapipe, unless the caller's environment chose a driver. */
function firstDriver() {
  if (process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES) return {};
  const dir = '/usr/share/vulkan/icd.d';
  const manifest = existsSync(dir) && readdirSync(dir).find((name) => name.startsWith('lvp_icd'));
  return manifest ? { VK_DRIVER_FILES: join(dir, manifest), VK_ICD_FILENAMES: join(dir, manifest), VK_LOADER_LAYERS_DISABLE: '~implicit~' } : {};
}

/** Runs jest. @returns its JSON report, or undefined where it made none */
async function jest(name, command, args, env) {
  const file = join(scratch, `${name}.json`);
  await run(command, [...args, '--json', '--outputFile', file, '--testLocationInResults'], { env });
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

const jestPath = 'node_modules/jest/bin/jest.js';
const runFirst = (patterns) => jest('first', process.execPath, [jestPath, ...patterns], firstDriver());

/**
 * Collects what is written to a named pipe, by any process.
 * @returns {() => Promise<string>} ends it: all that was written
 */
function listen(pipe) {
  // Our own writing end stays open, so that reading ends when we say so and not whenever the last writer goes.
  const writer = openSync(pipe, 'r+');
  const reader = openSync(pipe, 'r');
  const cat = spawn('cat', { stdio: [reader, 'pipe', 'inherit'] });
  closeSync(reader);
  let text = '';
  cat.stdout.setEncoding('utf8').on('data', (piece) => (text += piece));
  return () =>
    new Promise((resolve) => {
      cat.on('close', () => resolve(text));
      closeSync(writer);
      // A process that a test left behind may hold the pipe open.
      setTimeout(() => cat.kill(), 5000).unref();
    });
}

/** What the layer validates: its settings, and what it must say of the control's mistakes (test/validation/control.mjs). */
const VALIDATION = {
  host: {
    // Without the heuristic, what shaders read and write is not looked at.
    settings: ['validate_core = true', 'validate_sync = true', 'syncval_shader_accesses_heuristic = true', 'report_flags = error,warn'],
    control: 'a missing barrier', sees: /SYNC-HAZARD/,
  },
  assisted: {
    // It warns of the features that it switches on for itself.
    settings: ['validate_core = false', 'gpuav_enable = true', 'report_flags = error', 'message_id_filter = WARNING-GPU-Assisted-Validation'],
    control: 'a write past the end', sees: /out of bounds/i,
  },
};

/**
 * The second driver, with core and synchronisation validation, or GPU-assisted validation. Every process (jest's workers) has the
 * layer write to one pipe: a log file would be emptied by each new VkInstance.
 * @returns jest's report, and what the layer said
 */
async function runSecond(patterns, validation = VALIDATION.host) {
  const pipe = join(root, scratch, 'validation.pipe');
  const settings = join(root, scratch, 'vk_layer_settings.txt');
  await run('mkfifo', [pipe]);
  const lines = [...validation.settings, 'debug_action = VK_DBG_LAYER_ACTION_LOG_MSG', `log_filename = ${pipe}`];
  writeFileSync(settings, lines.map((line) => `khronos_validation.${line}\n`).join(''));
  const env = { VK_INSTANCE_LAYERS: 'VK_LAYER_KHRONOS_validation', VK_LAYER_SETTINGS_PATH: settings, VKPN_VALIDATION_PIPE: pipe };
  const select = (command) => ['-c', `. .lavapipe/env.sh && exec ${command} "$@"`, 'bash'];

  title(`validation layer: does it see ${validation.control}?`);
  let stop = listen(pipe);
  const control = await run('bash', [...select('node'), 'test/validation/control.mjs'], { env, quiet: true });
  const said = await stop();
  const seen = control.code === 0 && validation.sees.test(said);
  console.log(seen ? 'PASS it does' : `FAIL it does not, so its silence would mean nothing\n${control.output}${said}`);
  tally(seen);

  title('jest on the newer lavapipe, validated');
  stop = listen(pipe);
  const args = ['--testPathIgnorePatterns', FIRST_DRIVER_ONLY, '--setupFilesAfterEnv', './test/validation/mark.ts', '--testPathPatterns', ...patterns];
  const result = await jest('second', 'bash', [...select('node'), jestPath, ...args], env);
  return { result, messages: await stop() };
}

const keyOf = (file, test) => `${file.slice(root.length + 1)} › ${test.fullName}`;

/** Tests by name: 'passed' | 'failed' | 'pending' | 'todo' …, plus a name for each file that did not even load. */
function outcomes(result) {
  const all = new Map();
  for (const file of result?.testResults ?? []) {
    if (file.assertionResults.length === 0) all.set(`${file.name.slice(root.length + 1)} (whole file)`, file.status === 'passed' ? 'pending' : 'failed');
    for (const test of file.assertionResults) all.set(keyOf(file.name, test), test.status);
  }
  return all;
}

/** A test may be skipped on one driver if it runs on the other, or if a line of test/allowed-skips.txt (a regular expression, then ` # why`) names it. */
function tallyJest(first, second) {
  const allowed = readFileSync('test/allowed-skips.txt', 'utf8').split('\n').filter((line) => line && !line.startsWith('#')).map((line) => new RegExp(line.split(' # ')[0]));
  const names = new Set([...first.keys(), ...second.keys()]);
  for (const name of names) {
    const ran = [first.get(name), second.get(name)].filter((status) => status === 'passed' || status === 'failed');
    for (const status of ran) tally(status === 'passed');
    if (ran.length === 0 && !allowed.some((pattern) => pattern.test(name))) {
      console.log(`FAIL skipped everywhere, and test/allowed-skips.txt does not allow it: ${name}`);
      tally(false);
    }
  }
  if (names.size === 0) {
    console.log('FAIL no jest test ran');
    tally(false);
  }
}

/** The layer must have said nothing. Lines that test/validation/mark.ts wrote tell which test was running. */
function tallyValidation(messages) {
  const lines = messages.split('\n').filter((line) => line.trim());
  const clean = !lines.some((line) => !line.startsWith('in test: '));
  const shown = lines.filter((line, index) => !line.startsWith('in test: ') || (lines[index + 1] && !lines[index + 1].startsWith('in test: ')));
  console.log(clean ? 'PASS the validation layer said nothing' : `FAIL the validation layer's messages:\n${shown.join('\n')}`);
  tally(clean);
}

async function build() {
  title('build');
  const { code } = await run(process.execPath, ['scripts/build.mjs']);
  tally(code === 0);
  if (code !== 0) finish();
}

function finish() {
  console.log(`\n${count.passed} passed, ${count.failed} failed`);
  process.exit(count.failed > 0 ? 1 : 0);
}

const args = process.argv.slice(2);
const assisted = args.includes('--gpu-assisted');
const second = assisted || args.includes('--second');
const patterns = args.filter((word) => !['--second', '--gpu-assisted'].includes(word));

if (second || patterns.length > 0) {
  await build();
  if (second) {
    const { result, messages } = await runSecond(patterns.length > 0 ? patterns : SECOND_DRIVER, assisted ? VALIDATION.assisted : VALIDATION.host);
    tallyJest(new Map(), outcomes(result));
    tallyValidation(messages);
  } else {
    title("jest on the system's lavapipe");
    tallyJest(outcomes(await runFirst(patterns)), new Map());
  }
  finish();
}

title('lint');
for (const lint of lints) tally(await report(lint));
await build();
title('shaders');
tally(await report(['dist/glsl is what glsl/ says', async () => (await checkShaders()).join('\n')]));
tally(await report(['spirv-val', spirvVal]));
title("jest on the system's lavapipe");
const firstResult = await runFirst([]);
const { result: secondResult, messages } = await runSecond(SECOND_DRIVER);
title('all');
tallyJest(outcomes(firstResult), outcomes(secondResult));
tallyValidation(messages);
finish();
