"""NVIDIA NeMo Data Designer: a seed file of prompts, one text column, its artifacts in FOLDER, resumed where it can."""

import os
import sys
from pathlib import Path

os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "DATA_DESIGNER_HOME": sys.argv[3]}

import data_designer.config as dd
from data_designer.interface import DataDesigner

if __name__ == "__main__":
    url, prompts, folder, in_flight = sys.argv[1:]
    rows = len(Path(prompts).read_text().splitlines())
    provider = dd.ModelProvider(name="bench", endpoint=url, provider_type="openai", api_key="none")
    model = dd.ModelConfig(
        alias="one",
        model="benchmark",
        provider="bench",
        inference_parameters=dd.ChatCompletionInferenceParams(max_parallel_requests=int(in_flight)),
        skip_health_check=True,
    )
    designer = DataDesigner(artifact_path=folder, model_providers=[provider])
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.LocalFileSeedSource(path=prompts))
    builder.add_column(dd.LLMTextColumnConfig(name="answer", prompt="{{ prompt }}", model_alias="one"))
    designer.create(builder, num_records=rows, dataset_name="benchmark", resume=dd.ResumeMode.IF_POSSIBLE)
