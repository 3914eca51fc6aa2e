// Starts Swagger UI on the OpenAPI document: in the colours of the other pages, with their key.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () =>
    root.classList.toggle("dark-mode", root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  paint();
  system.addEventListener("change", paint);

  const given = () => {
    try {
      return sessionStorage.getItem("palate-key");
    } catch {
      return null; // storage may be forbidden; then the key is asked for here
    }
  };
  const base = new URL(".", location.href).href;
  const ui = SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#docs",
    displayRequestDuration: true,
    validatorUrl: null, // that of Swagger is another host
    defaultModelsExpandDepth: 0,
    // Behind a proxy the service may lie under a path, which its routes do not know.
    requestInterceptor: (request) => {
      if (!request.url.startsWith(base)) request.url = request.url.replace(`${location.origin}/`, base);
      return request;
    },
    onComplete: () => {
      if (given()) ui.preauthorizeApiKey("key", given());
      // Its title stands under the heading of the page, and over the h3 of the groups.
      document.querySelector("#docs h1.title, #docs h2.title").ariaLevel = "2";
    },
  });
})();
