// Runs one contender in its own process, so that its CPU time and memory can be told apart: node host.mjs NAME,
// forked by contender.mjs. Carries out one message at a time and answers {value} or {error}.
import { jobs } from './jobs.mjs';

const { default: Driver } = await import(`./drivers/${process.argv[2]}.mjs`);
let driver;

const actions = {
  async start({ setting }) {
    driver = new Driver(setting);
    await driver.start();
    return driver.notes;
  },
  run: ({ job }) => jobs[job].run(driver),
  stop: () => driver?.stop(),
};

process.on('message', async (message) => {
  try {
    process.send({ value: await actions[message.action](message) });
  } catch (error) {
    process.send({ error: error.stack });
  }
});

// The parent has all its answers, or is gone. This process leads its group, which contains everything that the driver
// started.
process.on('disconnect', () => process.kill(-process.pid, 'SIGTERM'));
