// The page: camera or drawn hand → landmarks → letters → what is shown. Nothing is sent anywhere.
import { DrawnHand } from "./demo.js";
import examples from "./examples.json" with { type: "json" };
import { HandFinder } from "./finder.js";
import { drawHand, showHand } from "./hands-drawing.js";
import { openNetwork } from "./letters.js";
import { StrokeReader } from "./motion.js";
import { advise, Practice, STORE } from "./practice.js";
import signs from "./signs.json" with { type: "json" };
import { Speller, STROKES } from "./spelling.js";
import { suggest } from "./words.js";

const TIPS = { J: 20, Z: 8 }; // landmarks that draw
const POSES = Object.values(STROKES).join(""); // letters that may yet become one that is drawn

const parts = Array.from(document.querySelectorAll("[id]"), (part) => [part.id, part]);
const ui = Object.fromEntries(parts);
const pen = ui.overlay.getContext("2d");
const page = document.body.dataset;
let practice = new Practice();
let network, strokes, finder, words;
let speller, practiceSpeller; // what is read in practice does not come into the text
let [frames, rightHand, advised] = [[], 0, 0];
const seconds = () => performance.now() / 1000;
const framesOf = (letter) => examples.strokes[letter] ?? examples.letters[letter].slice(0, 1);

// What is shown

function write(texts) {
  for (const [id, text] of Object.entries(texts)) ui[id].textContent = text;
}

function showSign(letter) {
  for (const button of ui.alphabet.children) button.ariaPressed = String(button.value === letter);
  if (!letter) return;
  showHand(ui.hand, framesOf(letter), TIPS[letter]);
  ui.how.textContent = `${letter}: ${signs.letters[letter][0]}`;
}

const startOfWord = () => speller.spelled.findLastIndex(({ letter }) => letter === " ") + 1;

function showText() {
  const text = speller.spelled.map(({ letter }) => letter).join("");
  write({ sure: text.slice(0, -1), last: text.slice(-1) });
  ui.last.className = POSES.includes(text.slice(-1)) ? "pending" : "";
  const suggested = suggest(words, speller.spelled.slice(startOfWord()));
  for (const [i, button] of [...ui.words.children].entries())
    button.value = button.firstChild.textContent = suggested[i] ?? "";
}

function edit(kept, added) {
  speller.spelled.splice(kept);
  for (const letter of added) speller.add(letter, seconds());
  showText();
}

function showPractice() {
  const { target, index, letter, record } = practice;
  write({ done: target.slice(0, index), wanted: letter, rest: target.slice(index + 1) });
  write({ streak: record.streak, longest: record.longest });
  for (const button of ui.alphabet.children)
    button.style.setProperty("--need", practice.need(button.value));
  showSign(ui.show.checked ? letter : null);
}

function ask() {
  practice.ask(ui.whole.checked ? signs.words : Object.keys(signs.letters));
  showPractice();
}

function say(text, kind, stays) {
  if (seconds() < advised && !kind) return;
  [ui.advice.textContent, ui.advice.className, advised] = [text, kind, seconds() + stays];
}

// What a frame leads to

function count(letter) {
  if (!ui.practising.checked) {
    ui.said.textContent = letter;
    return showText();
  }
  const verdict = practice.take(letter);
  if (verdict === "right") say(`${letter} is right!`, verdict, 1);
  if (verdict === "wrong") say(`That was read as ${letter}.`, verdict, 1);
  showPractice();
  ui.said.textContent = `${ui.advice.textContent} Now ${practice.letter}.`;
}

function help(landmarks, top) {
  const wanted = practice.letter;
  const [sign] = signs.letters[wanted];
  const poses = STROKES[wanted] ?? wanted;
  const isRight = poses.includes(top);
  const notes = isRight ? [] : advise(landmarks, examples.letters[poses[0]], wanted).slice(0, 2);
  const texts = notes.map(({ text }) => text);
  if (isRight) texts.push(poses === wanted ? "Hold it …" : sign);
  else if (!texts.length) texts.push(`It still looks like ${top}.`, sign);
  say(texts.join("\n"), "", 0.4);
  return notes.flatMap(({ fingers }) => fingers);
}

async function takeFrame(hand) {
  const [time, isPractice] = [seconds(), ui.practising.checked];
  frames = [...frames.filter((other) => other > time - 2), time];
  if (hand) rightHand += 0.1 * ((hand.hand === "right") - rightHand);
  const side = rightHand > 0.5 ? -1 : 1;
  document.body.classList.toggle("left-handed", side < 0);
  const landmarks = hand?.landmarks.map((x, i) => (i % 3 ? x : side * x));
  const probabilities = landmarks && (await network.read(landmarks, [1, 21, 3]));
  const stroke = await strokes.step(time, landmarks);
  const reader = isPractice ? practiceSpeller : speller;
  const { letter, share, counted } = reader.step(time, landmarks, probabilities, stroke);
  if (counted) count(counted);

  let read = "Show your whole hand";
  if (!hand) say("", "", 0);
  pen.clearRect(0, 0, ui.overlay.width, ui.overlay.height);
  if (hand) {
    const top = probabilities.indexOf(Math.max(...probabilities));
    read = `${network.classNames[top]} ${(100 * probabilities[top]).toFixed(0)} %`;
    const wrong = isPractice ? help(landmarks, network.classNames[top]) : [];
    drawHand(pen, hand.landmarks, page.state === "demo" ? {} : { thickness: 0.15, wrong });
  }
  write({ letter, status: `${read} · ${(frames.length / 2).toFixed(0)} frames/s` });
  ui.badge.style.setProperty("--share", share);
  ui.badge.classList.toggle("counted", share === 1);
}

async function run(source, state, nextFrame) {
  [page.state, ui.trouble.textContent] = [state, ""];
  for (let shown; page.state === state; ) {
    await new Promise(nextFrame);
    const [hand] = await Promise.all([source.find(ui.video), shown]);
    shown = takeFrame(hand); // while the finder is at the next frame
  }
}

// How it starts

async function startCamera() {
  if (!isSecureContext) throw new Error("A camera is for pages from https or localhost alone.");
  const video = { width: 640, height: 480, facingMode: "user" };
  ui.video.srcObject = await navigator.mediaDevices.getUserMedia({ video });
  await ui.video.play();
  [ui.overlay.width, ui.overlay.height] = [ui.video.videoWidth, ui.video.videoHeight];
  await run(finder, "live", (resolve) => ui.video.requestVideoFrameCallback(resolve));
}

function startDemo(text) {
  [ui.overlay.width, ui.overlay.height] = [640, 480];
  return run(new DrawnHand(text, examples), "demo", requestAnimationFrame);
}

async function download(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name} is missing beside this page: make live puts it there.`);
  return answer.arrayBuffer();
}

async function useNetwork(content) {
  network = await openNetwork(content, 24);
  [speller, practiceSpeller] = [new Speller(network.classNames), new Speller(network.classNames)];
  showText();
}

async function load() {
  const names = ["hands.onnx", "motion.onnx", "words.txt"];
  const [hands, motion, list] = await Promise.all(names.map(download));
  const demo = new URLSearchParams(location.search).get("demo")?.toUpperCase();
  finder = new HandFinder(); // loads while the other networks are opened
  words = new TextDecoder().decode(list).trim().split("\n");
  strokes = new StrokeReader(await openNetwork(motion, 4));
  await useNetwork(hands);
  ui.demo.disabled = false;
  if (demo) await startDemo(demo);
  await finder.ready;
  ui.camera.disabled = false;
}

// What is pressed: buttons by their id, or that of the element around them; and inputs, by their name

const actions = {
  camera: startCamera,
  demo: () => startDemo("HELLO JAZZ"),
  back() {
    page.state = "start";
    for (const track of ui.video.srcObject?.getTracks() ?? []) track.stop();
  },
  words: ({ value }) => edit(startOfWord(), `${value} `),
  space: () => edit(Infinity, " "),
  erase: () => edit(-1, ""),
  clear: () => edit(0, ""),
  copy: () => navigator.clipboard.writeText(ui.text.textContent.trim()),
  alphabet: ({ value, ariaPressed }) => showSign(ariaPressed === "true" ? null : value),
  skip() {
    practice.take(null);
    ask();
  },
  forget() {
    localStorage.removeItem(STORE);
    practice = new Practice();
    ask();
  },
  mode: () => (ui.practising.checked ? ask() : showSign(null)),
  kind: ask,
  show: showPractice,
  async network({ files: [file] }) {
    const used = useNetwork(await file.arrayBuffer()).then(() => `Reads with ${file.name}.`);
    ui.about.textContent = await used.catch(() => `${file.name} cannot be used here.`);
  },
};
document.onchange = ({ target }) => actions[target.name](target);
document.onclick = ({ target }) => {
  const button = target.closest("button");
  actions[button?.id || button?.parentElement.id]?.(button);
};
document.onkeydown = (event) => {
  const { key, target, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || (key === " " && target !== document.body)) return;
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!button?.checkVisibility()) return;
  event.preventDefault();
  button.click();
};
window.onunhandledrejection = (event) => {
  event.preventDefault();
  const { name, message } = event.reason;
  [page.state, ui.trouble.textContent] = ["start", signs.troubles[name] ?? message];
};

for (const { firstChild, value } of ui.alphabet.children)
  showHand(firstChild, framesOf(value).slice(0, 1));
showHand(ui.hello, framesOf("Y"));
load();
