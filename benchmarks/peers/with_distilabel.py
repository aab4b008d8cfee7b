"""distilabel: rows loaded from a list, one text generation each, its cache in FOLDER."""

import json
import sys
from pathlib import Path

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration

if __name__ == "__main__":
    url, prompts, folder, in_flight = sys.argv[1:]
    rows = [{"instruction": json.loads(line)["prompt"]} for line in Path(prompts).read_text().splitlines()]
    with Pipeline(name="benchmark", cache_dir=folder) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=int(in_flight))
        model = OpenAILLM(model="benchmark", base_url=url, api_key="none")
        load >> TextGeneration(llm=model, input_batch_size=int(in_flight))
    pipeline.run(use_cache=True)
