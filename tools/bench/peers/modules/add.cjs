exports.add = async ({ a, b }) => a + b;
