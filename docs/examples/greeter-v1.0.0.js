'use strict';

exports.greet = async ({ name }, context) => {
  console.log('greeting', name, 'in call', context.requestId);
  await new Promise((resolve) => setTimeout(resolve, 10));
  return `Hello, ${name}!`;
};
