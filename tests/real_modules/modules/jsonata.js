import jsonata from 'jsonata';

export const evaluate = async ({ expression, input }) => (await jsonata(expression).evaluate(input)) ?? null;

export const withFunctions = async ({ expression, input }) => {
  const query = jsonata(expression);
  query.registerFunction('later', async (value) => { await new Promise((resolve) => setTimeout(resolve, 1)); return value * 2; }, '<n:n>');
  query.assign('rate', 1.19);
  return query.evaluate(input);
};

// It throws objects that are no Errors.
export const fault = async (expression) => {
  try { return await jsonata(expression).evaluate({}); } catch (error) { return { code: error.code, message: error.message, position: error.position }; }
};

export const tree = (expression) => JSON.parse(JSON.stringify(jsonata(expression).ast()));
