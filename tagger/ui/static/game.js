/* The game: a word, some seconds to draw it, and the recogniser guesses. */

/**
 * `call(name, data)` asks the server, `hooks.begin(round)`, `hooks.end(round)` and `hooks.tick(left)`
 * show it. A round is {word, label, won, seconds, strokes, guess, saved}.
 */
function createGame({ call, seconds, hooks }) {
  let rounds = [];
  let round = null; // the one that is being drawn
  let deadline = 0;
  let timer = 0;
  let turn = 0;

  const left = () => Math.max(0, deadline - performance.now());
  const end = (won) => {
    if (!round) return;
    clearInterval(timer);
    const done = round;
    round = null;
    done.won = won;
    done.seconds = seconds - left() / 1000;
    rounds.push(done);
    hooks.end(done, rounds);
  };
  return {
    get rounds() { return rounds; },
    get round() { return round; },
    async next() {
      const mine = ++turn;
      clearInterval(timer);
      round = null;
      const answer = await call('challenge', { seen: rounds.map(({ word }) => word).slice(-200) });
      if (!answer || mine !== turn) return;
      round = { ...answer, won: false, seconds: 0, strokes: [], guess: null, saved: null };
      deadline = performance.now() + 1000 * seconds;
      hooks.begin(round);
      hooks.tick(seconds);
      timer = setInterval(() => {
        hooks.tick(left() / 1000);
        if (!left()) end(false);
      }, 100);
    },
    /** What the recogniser says of the drawing as it is. */
    guessed(ranked) {
      if (!round || !ranked.length) return;
      round.guess = ranked;
      if (ranked[0].word === round.word) end(true);
    },
    skip() { end(false); },
    /** Leave: the round that is being drawn does not count. */
    stop() {
      turn++;
      clearInterval(timer);
      round = null;
      rounds = [];
    },
  };
}
