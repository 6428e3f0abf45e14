// One contender in a process of its own, so that what it takes is its own: node host.mjs NAME, forked by contender.mjs.
// Does what each message asks for, one at a time, and answers {value} or {error}.
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

// Whoever asked has what it wanted, or is gone. This process leads its group, in which all is that the driver started.
process.on('disconnect', () => process.kill(-process.pid, 'SIGTERM'));
