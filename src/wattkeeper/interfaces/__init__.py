"""How people and programs come in: pages, API, shell, workers."""
