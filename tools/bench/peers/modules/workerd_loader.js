// Makes an isolate for each ID in paths of the form /ID/FUNCTION, and passes requests on to it.
export default {
  fetch(request, env) {
    const path = request.url.slice(request.url.indexOf('/', 'http://'.length) + 1);
    const isolate = env.LOADER.get(path.slice(0, path.indexOf('/')), () => ({
      compatibilityDate: '2026-01-01',
      mainModule: 'main.js',
      modules: { 'main.js': env.MAIN, 'module.cjs': { cjs: env.MODULE } },
      globalOutbound: null,
    }));
    return isolate.getEntrypoint().fetch(request);
  },
};
