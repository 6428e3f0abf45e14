// Serves one module over HTTP in workerd: calls the function that the last part of the path names with the body.
import module from './module.cjs';

export default {
  async fetch(request) {
    const name = request.url.slice(request.url.lastIndexOf('/') + 1);
    return new Response(JSON.stringify(await module[name](await request.json())));
  },
};
