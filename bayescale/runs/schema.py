"""Columns and metrics that the package knows, one row each, with units and what may stand in a cell."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["COLUMNS", "METRICS", "REQUIRED", "Column", "Metric", "column_of", "metric_of"]


@dataclass(frozen=True)
class Column:
    """What a column of a run table holds.

    Attributes
    ----------
    meaning, unit : str
    kind : {"text", "size", "count", "fraction", "number", "bool"}
        A size is a positive number, a count a positive whole number, a fraction lies between 0 and 1, a
        number is any finite one, a bool is 0 or 1. All but text are stored as 64-bit floats, NaN where
        the source does not say; text is stored as text, empty where the source does not say.
    zero : bool
        Whether a size or a count may be 0.
    plausible : tuple of float, optional
        Least and greatest value that any training could have; outside it the unit must be wrong.
    """

    meaning: str
    unit: str = ""
    kind: Literal["text", "size", "count", "fraction", "number", "bool"] = "text"
    zero: bool = False
    plausible: tuple[float, float] | None = None


@dataclass(frozen=True)
class Metric:
    """What a value measures.

    Attributes
    ----------
    unit : str
    higher_is_better : bool or None
        None where nothing is known about the metric.
    bounded : tuple of float, optional
        Least and greatest value there can be.
    meaning : str
    positive : bool
        Whether a value of 0 or less cannot be.
    """

    unit: str
    higher_is_better: bool | None
    bounded: tuple[float, float] | None
    meaning: str
    positive: bool = False


_PARAMS = (1e3, 1e17)
_TOKENS = (1e4, 1e18)

COLUMNS: dict[str, Column] = {
    "study": Column("publication or table that the run comes from"),
    "family": Column("runs expected to share one law: same recipe, data and architecture"),
    "run_id": Column("name of one training, unique within its family"),
    "architecture": Column("kind of network"),
    "modality": Column("modality of the evaluation: text, image, audio, video, image-text, ..."),
    "eval_name": Column("what was evaluated: a held-out set or a task"),
    "metric": Column("what the value measures; one of METRICS"),
    "higher_is_better": Column("1 where a higher value is better", kind="bool"),
    "value": Column("the result of the evaluation", "of the metric", "number"),
    "value_se": Column("standard error of the value", "of the metric", "size"),
    "score_max": Column("greatest value that the metric can have", "of the metric", "size"),
    "chance": Column("value that blind guessing gives", "of the metric", "size", zero=True),
    "n_params": Column("size of the model", "parameters", "size", plausible=_PARAMS),
    "n_params_def": Column("how parameters were counted: total, without embeddings, ..."),
    "n_active_params": Column("parameters used for one token", "parameters", "size", plausible=_PARAMS),
    "n_params_nonembed": Column("parameters without embeddings", "parameters", "size", plausible=_PARAMS),
    "n_params_vocab": Column("parameters of the vocabulary: entries times width", "parameters", "size"),
    "dense_params": Column("size of the dense model that this one was cut from", "parameters", "size"),
    "n_tokens": Column("training tokens seen", "tokens", "size", plausible=_TOKENS),
    "tokens_unique": Column("distinct training tokens", "tokens", "size", plausible=_TOKENS),
    "epochs": Column("passes over the distinct data", "passes", "size"),
    "n_samples": Column("pairs, images or examples seen, where tokens make no sense", "samples", "size"),
    "tokens_text": Column("text tokens seen", "tokens", "size", zero=True),
    "tokens_image": Column("image tokens seen", "tokens", "size", zero=True),
    "tokens_audio": Column("audio tokens seen", "tokens", "size", zero=True),
    "tokens_video": Column("video tokens seen", "tokens", "size", zero=True),
    "tokens_finetune": Column("tokens of fine-tuning", "tokens", "size"),
    "bytes_text": Column("text seen", "UTF-8 bytes", "size", zero=True),
    "bytes_audio": Column("audio seen, as uncompressed samples (16-bit PCM)", "bytes", "size", zero=True),
    "bytes_image": Column("images seen, as uncompressed pixels (8-bit RGB)", "bytes", "size", zero=True),
    "bytes_video": Column("video seen, as uncompressed frames (8-bit RGB)", "bytes", "size", zero=True),
    "chars_text": Column("text seen", "characters", "size", zero=True),
    "n_vision_tokens": Column("vision tokens for one image (for one frame if flagged)", "tokens", "size"),
    "vocab_size": Column("entries of the vocabulary", "tokens", "count"),
    "context_length": Column("longest sequence in training", "tokens", "count"),
    "is_moe": Column("1 for a mixture of experts", kind="bool"),
    "n_experts": Column("experts in a layer; 1 for a dense model", "experts", "count"),
    "top_k": Column("experts that one token is sent to", "experts", "count"),
    "sparsity": Column("share of the parameters that is absent or idle", kind="fraction"),
    "granularity": Column("width of a dense layer over that of an expert", "", "size"),
    "precision_weights": Column("bits of the weights in training", "bits", "size"),
    "precision_activations": Column("bits of activations in training", "bits", "size"),
    "precision_kv": Column("bits of the attention cache in training", "bits", "size"),
    "precision_post": Column("bits of the weights after training", "bits", "size"),
    "depth": Column("layers", "layers", "count"),
    "width": Column("size of the residual stream", "", "count"),
    "flops": Column("training compute", "floating-point operations", "size", plausible=(1e9, 1e35)),
    "flops_source": Column("how the compute was counted: 6ND, reported, 3 x forward, ..."),
    "step": Column("training step of the evaluation", "steps", "count", zero=True),
    "is_final": Column("0 for a checkpoint in mid-training", kind="bool"),
    "validation_loss": Column("loss read as an input: of the same model", "nats per token", "size"),
    "teacher_loss": Column("loss of the teacher", "nats per token", "size"),
    "supervised_loss": Column("loss that the student would have without a teacher", "nats per token", "size"),
    "year": Column("year of publication, with decimals", "years", "number"),
    "train_data": Column("training data"),
    "batch_size": Column("size of a training batch", "see batch_unit", "size"),
    "batch_unit": Column("what batch_size counts"),
    "learning_rate": Column("peak learning rate", "", "size"),
    "seed": Column("random seed of the training", kind="number"),
    "flag": Column("warnings of the source about the row, separated by semicolons"),
    "simulated": Column("1 for a made-up run, whose truth is known", kind="bool"),
}

REQUIRED = ("study", "family", "run_id", "metric", "value")
"""Columns that every `RunTable` has; all but ``value`` have a default at reading."""

_FRACTION = (0.0, 1.0)

METRICS: dict[str, Metric] = {
    "loss_nats": Metric(
        "nats per token", False, None, "cross-entropy per token of the study's tokeniser", True
    ),
    "loss_bits": Metric("bits per token", False, None, "cross-entropy per token in bits", True),
    "loss_unigram_normalised": Metric(
        "nats per token",
        False,
        None,
        "cross-entropy less that of a unigram model, comparable across vocabularies",
    ),
    "log_perplexity": Metric("nats per token", False, None, "logarithm of perplexity as printed", True),
    "loss_reported": Metric("unknown", False, None, "a loss whose unit the source leaves open", True),
    "perplexity": Metric("none", False, (1.0, float("inf")), "exponential of the loss per token", True),
    "bpc": Metric("bits per character", False, None, "compressed size per character", True),
    "bpb": Metric("bits per byte", False, None, "compressed size per byte of raw data", True),
    "error_rate": Metric("fraction", False, _FRACTION, "share of wrong answers"),
    "contrastive_loss": Metric("nats", False, None, "contrastive loss; depends on the batch size", True),
    "fid": Metric("none", False, (0.0, float("inf")), "Fréchet inception distance of generated images"),
    "fad": Metric("none", False, (0.0, float("inf")), "Fréchet distance of generated audio"),
    "kld": Metric("nats", False, (0.0, float("inf")), "Kullback-Leibler divergence of generated audio"),
    "wer": Metric(
        "fraction", False, (0.0, float("inf")), "word error rate; above 1 where words are inserted"
    ),
    "accuracy": Metric("fraction", True, _FRACTION, "share of right answers"),
    "miou": Metric("fraction", True, _FRACTION, "mean intersection over union"),
    "recall_at_5_image_to_text": Metric("fraction", True, _FRACTION, "right caption among the first five"),
    "recall_at_5_text_to_image": Metric("fraction", True, _FRACTION, "right image among the first five"),
    "mean_average_precision": Metric("fraction", True, _FRACTION, "mean average precision"),
    "mean_auc": Metric("fraction", True, _FRACTION, "mean area under the ROC curve"),
    "inception_score": Metric("none", True, None, "inception score of generated images", True),
    "score": Metric("of the source", True, None, "a score on the source's own scale"),
    "score_of_range": Metric("fraction", True, _FRACTION, "score as a fraction of the greatest there is"),
    "score_above_chance": Metric("fraction", True, _FRACTION, "score as a fraction of the way from chance"),
}


def column_of(name: str) -> Column | None:
    """What is known of a column; None for a column of the user's own.

    A name that ends in ``_se`` is a standard error and must be positive like ``value_se``; one that
    begins with ``share_`` is the share of a mixture.
    """
    if name.startswith("share_"):
        return Column(f"share of {name[6:]} in the training tokens; 0 without any", "of 1", "fraction")
    return COLUMNS["value_se"] if name.endswith("_se") else COLUMNS.get(name)


def metric_of(name: str) -> Metric:
    """What is known of a metric; a `Metric` without direction and bounds for one of the user's own."""
    return METRICS.get(name, Metric(name, None, None, "a metric of the user's own"))
