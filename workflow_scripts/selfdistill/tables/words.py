"""The words that stand in the tables of the analysis, each written once: the analysis writes them, planning and report read.

Words of graded answers (how a completion ended, whether it is right) are in `endings.py`.
"""

# Column `method`: how an interval came about.
SCORE = "paired score"  # of shares; p, equivalence and power come from the same statistic
WILSON = "Wilson"
WILSON_EFFECTIVE = "Wilson, effective n"
T = "t"

# Column `claim`: what varies in the law that an interval speaks of.
CHECKPOINTS = "these checkpoints"  # problems and draws
METHOD = "the method"  # trainings, too

# Column `estimand`: of one model, and with the same names of a difference. Most are columns of the means by problem, too.
ACCURACY = "accuracy"
UNANSWERED_RATE = "unanswered_rate"
THINK_CLOSE_RATE = "think_close_rate"
BOXED_RATE = "boxed_rate"  # in the asked format, a box or a line
CUT_RATE = "cut_rate"  # of unfinished answers: those that loop, too
LOOP_RATE = "loop_rate"
RIGHT_OTHERWISE_RATE = "right_otherwise_rate"  # right in another format than the asked one, which never counts
MEAN_TOKENS = "mean_tokens"
WHEN_FINISHED = "accuracy_when_finished"
WHEN_BOTH_FINISHED = "accuracy_when_both_finished"
THE_ARM = "the arm"


def cut_counted_for(whom: str) -> str:
    """The difference in accuracy if every cut answer had counted for this side: for `THE_ARM`, or for the other by name."""
    return f"accuracy difference, cut counted for {whom}"


PASS_AT = "pass@"


def pass_estimand(k: int) -> str:
    return f"{PASS_AT}{k}"


# Column `estimand` of the 2×2.
EFFECT_OF_DECODE = "main effect of the decode"
EFFECT_OF_FILTER = "main effect of the filter"
INTERACTION = "interaction"
EFFECTS = (EFFECT_OF_DECODE, EFFECT_OF_FILTER, INTERACTION)


def effect_of(arm: str) -> str:
    """One cell of the 2×2 against the base."""
    return f"effect of {arm}"


def on(effect: str, outcome: str) -> str:
    """An effect on accuracy has no addition to its name."""
    return effect if outcome == ACCURACY else f"{effect} on {outcome}"


# Column `unit`: what n counts.
PROBLEM = "problem"
FAMILY = "family"  # of near-duplicate problems
FINISHED_COMPLETION = "finished completion"
FINISHED_BY_BOTH = "finished by both"  # follows problem or family

# Column `comparison`.
MATCHED = "matched"
FAIR = "fair"
DECODING_ALONE = "decoding alone"

# Column `what` of studies side by side.
LEVEL = "level of the arm"
EFFECT = "effect of training"
BETWEEN_ARMS = "difference of two arms"

# Column `direction` of the flips.
GAINED = "gained"
LOST = "lost"

# Columns `role` and `verdict` of the verdicts.
HYPOTHESIS = "hypothesis"
CONTROL = "control"
IMPROVED = "improved"
WORSE = "worse"
EQUIVALENT = "equivalent within the margin"
HIGHER = "higher"  # of an outcome that is neither better nor worse by itself
LOWER = "lower"
NOT_WORSE = "not worse by the margin"
NOT_RESOLVED = "not resolved"
NOT_MEASURABLE = "not measurable"

# Column `state` of the looks.
GOES_ON = "goes on"  # to the next look
SETTLED = "settled"  # by its verdict
GIVEN_UP = "given up"  # a verdict at the last look is too unlikely
LAST_LOOK = "last look"  # nothing is left to sample

# Columns `group`, `window` and `geometry` of what is measured during training.
TOTAL = "total"  # all layer groups together
WHOLE_RUN = "run"
EUCLIDEAN = "euclidean"
ADAM = "adam"
UPDATE = "update"

# Column `part` of the variance of a difference; those of one side are told apart by the column `of`.
BETWEEN_TRAININGS = "between trainings"
BETWEEN_PROBLEMS = "between problems"
WITHIN_FAMILIES = "within families"  # a covariance
PROBLEM_BY_TRAINING = "problem by training"
BETWEEN_DRAWS = "between draws"
SHARED_NOISE = "shared noise"  # a covariance of draws of both sides
SHARED_BY_TRAININGS = "noise shared by trainings"  # a covariance of draws of two trainings of one side
OF_BOTH = "both sides"
OF_THE_OTHER = "the other side"

# Column `how` of the variance of a difference.
MEASURED = "estimated"
MEASURED_WITH_DRAWS = "estimated, with the draws in it"
ASSUMED_LIKE_THE_OTHER = "assumed, as of the other side"
ASSUMED_LIKE_SHARED_NOISE = "assumed, as of shared noise of both sides"
NOT_TRAINED = "nothing was trained"
OWN_NOISE = "noise of their own"
ONE_EACH = "no families of problems"
UNTOLD_BY_ONE_TRAINING = "unknown: one training"
UNTOLD_BY_ONE_DRAW = "unknown: one draw, counted with the problems"

# Column `estimand` of what the token cap does to a difference in accuracy, and column `base_answer`: how the base ended.
BY_FINISHING = "difference from finishing more often"
WHEN_IT_FINISHED = "difference from being right more often when finished"
GAIN_WHERE = "gain where the base"
PART_WHERE = "part of the gain where the base"
SHARE_WHERE = "share where the base"
MEDIAN_TOKENS = "median_tokens"
BASE_WAS_CUT = "was cut"
BASE_WAS_WRONG = "finished and was wrong"
BASE_WAS_RIGHT = "finished and was right"
BASE_ANSWERS = (BASE_WAS_CUT, BASE_WAS_WRONG, BASE_WAS_RIGHT)
WOODRUFF = "Woodruff"  # of quantiles: the interval of the share below, read back at the quantiles

# Column `kind` of the audit: what the grader made of an answer. The strata are these, for each side.
DISPUTED = "disputed by the readers"
CREDITED = "credited, undisputed"
REFUSED = "refused, undisputed"
NOT_READ = "not read, or out of time"
KINDS = (DISPUTED, CREDITED, REFUSED, NOT_READ)

# Estimands of the grader, shares of all answers.
UNREAD_RATE = "unread_rate"
TIMED_OUT_RATE = "timed_out_rate"
DISPUTED_RATE = "disputed_rate"
NO_ANSWER_RATE = "no_answer_rate"  # ended by themselves, without an answer in the asked format; of one model, too
GRADER_RATES = (UNREAD_RATE, TIMED_OUT_RATE, DISPUTED_RATE, NO_ANSWER_RATE)
DISPUTES_AGAINST = "accuracy difference, every dispute against the arm"
DISPUTES_FOR = "accuracy difference, every dispute for the arm"
IF_LENIENT = "accuracy difference, the lenient reader's word"
EVERY_DECODE = "all final decodes"  # column `decode_id`: their mean

# Column `grouping` of the effects by kind of problem, and the groups by the base's other draws.
BY_BASE = "by the base's solve rate"
BY_LEVEL = "by level"
BY_SOURCE = "by source"
SOLVED_NONE = "solved in none of them"
SOLVED_SOME = "solved in some of them"
SOLVED_ALL = "solved in all of them"

MAJORITY_AT = "maj@"


def majority_estimand(k: int) -> str:
    return f"{MAJORITY_AT}{k}"


# Column `model_id` of a dataset whose examples nobody sampled, and the key `samples` of its audit.
REFERENCE = "reference"  # the dataset's own solutions

# In place of the model whose samples a training learnt from, where it learnt from answers that it gave meanwhile.
PRACTISED = "practised"

# Column `half` of the carriers: classes are chosen on the one, measures are taken on the other.
SELECTING = "selecting"
MEASURING = "measuring"

# Column `kinds` of the probe plan: why a position is probed.
REGULAR = "regular"  # at even distances
RANDOM = "random"
BEFORE_BOX = "in the box"  # the token after `\boxed{`
LINE_START = "line start"
BEFORE_DOUBT = "doubt begins"  # the first token of a word of doubt
AFTER_DOUBT = "after doubt"
STRIP = "strip"  # every token of a carrier that the report shows
POSITION_KINDS = (REGULAR, RANDOM, BEFORE_BOX, LINE_START, BEFORE_DOUBT, AFTER_DOUBT, STRIP)
EVERY_KIND = "all positions"

# Column `token_class`: by the base alone; the finer ones split locks by what training did to them.
LOCK = "lock"  # one token has nearly all the mass
FORK = "fork"  # several share it, and little lies beyond them
DIFFUSE = "diffuse"  # much lies beyond those that the decode keeps
MIXED = "mixed"  # none of these
TOKEN_CLASSES = (LOCK, FORK, DIFFUSE, MIXED)
STRICT_LOCK = "strict lock"  # the same token is likeliest after training
SWAPPED_LOCK = "swapped lock"  # another one is
SELF_CORRECTION = "self-correction"  # a lock, or a swap, where a word of doubt stands or is likeliest
EVERY_CLASS = "all classes"

# Column `carriers`: whose texts the positions stand in.
BY_THE_BASE = "written by the base"
BY_TRAINED = "written by trained models"
BY_ALL = "all carriers"

# Column `token_class`: the same two, chosen by the very training that they are measured on, which proves nothing.
STRICT_BY_ITSELF = "strict lock, chosen by itself"
SWAPPED_BY_ITSELF = "swapped lock, chosen by itself"

# Column `carriers` of a comparison of texts: the base's own law on an arm's texts, against that on the base's.
BETWEEN_TEXTS = "its texts against the base's"

# Column `measure` of what training did to laws. Before any decode, and under one.
TOP_PROBABILITY = "top-1 probability"
ENTROPY = "entropy of the law"  # in nats, as every entropy here
SWAPS = "share of swaps"  # another token is likeliest
CLASS_SHARE = "share of the class"  # of positions
KEPT_MASS = "kept mass"  # of the tempered law, in the model's own kept set
NUCLEUS_SIZE = "nucleus size"  # tokens in it
ENTROPY_BEFORE = "entropy before truncation"  # at the decode's temperature
ENTROPY_AFTER = "entropy after truncation"
TAIL_MASS = "tail mass"  # at temperature 1, outside what the decode keeps of the base
COMPRESSION = "support compression"  # the terms of the loss against a decode's target, and their sum
RESHAPING = "within-support reshaping"
ANCHOR = "anchor"
LOSS = "loss against the target"
LOSS_TERMS = (COMPRESSION, RESHAPING, ANCHOR, LOSS)

# Column `curve`.
MASS_BY_RANK = "cumulative mass by rank"
SURVIVORS_BY_TEMPERATURE = "survivors by temperature"
ENTROPY_BY_TEMPERATURE = "entropy after truncation by temperature"

# Column `measure` of the way to the target of self-distillation.
FIT_RATIO = "fit ratio"  # share of KL(target, base) that training closed
FIT_OF_SUPPORT = "fit ratio, support compression"  # of its part that is mass outside the support
FIT_WITHIN = "fit ratio, within the support"  # of the other part
FIT_BEYOND_NULL = "fit ratio beyond the null"
ALIGNMENT = "alignment of shifts"  # cosine of the shift seen and the shift asked for, within the support
PROJECTION = "part of the shift made"  # 1: the whole shift that the target asks for within its support
MOVEMENT = "movement"  # mean squared distance of root probabilities, of the base and the model
REMAINDER = "share of the movement not towards the target"
REMAINDER_HERE = "part of what is not towards the target that falls here"
DISTANCE_OF_BASE = "KL(target, base)"  # mean, in nats

# Column `method` of rows without an interval, and what follows a method.
TOO_FEW_PROBLEMS = "no interval: fewer than two problems"
TARGET_IS_BASE = "no estimate: the target is the base itself"
CHOSEN_BY_OTHER_TRAINING = "chosen by another training"
CHOSEN_BY_ITSELF = "no interval: chosen by what is measured"
CHOSEN_BY_OTHER_HALF = "chosen by tokens of the other half"


def too_few_positions(there: int, least: int) -> str:
    return f"no interval: {there} positions of the {least} needed"


# Column `measure` of the depth of a thought.
DEPTH_AUROC = "AUROC of depth, fork against lock"
MEAN_DEPTH = "mean depth"  # as a share of the layers

# Column `part` of a gradient at a frozen checkpoint: that of the tokens of a class; TOTAL is all of them.
REST = "rest"  # neither lock nor fork
GRADIENT_PARTS = (LOCK, FORK, REST)
BY_TOO_FEW_SEQUENCES = "no interval: fewer than 8 sequences"
JACKKNIFE_SEQUENCES = "jackknife over sequences, t"
UNRESOLVED_SIGNAL = "no share: the signal is not resolved"

# Column `estimand` of the branches: short trainings at several batch sizes.
HELD_OUT_LOSS = "held-out loss"
HELD_OUT_DIFFERENCE = "difference in held-out loss from the study's batch"
EXAMPLES_TO_TARGET = "examples to the target loss"
STEPS_LEAST = "fewest steps"  # S_min
EXAMPLES_LEAST = "fewest examples"  # E_min
CRITICAL_BATCH = "critical batch"  # E_min / S_min
T_OVER_ORDERS = "t over data orders"
T_ORDERS_EXAMPLES = "t over data orders, with the scatter of examples"
LOSS_NOT_LOWERED = "not resolved: not every branch lowers the held-out loss to one target"
FIELLER_ORDERS = "Fieller, t over data orders"

# Column `measure` of the weights of finished models.
CHANGED_OVERLAP = "overlap of changed weights"
TOP_OVERLAP = "overlap of the weights that moved most, "  # and the share
SAME_DIRECTION = "same direction, of weights changed in both"
COSINE = "cosine of the changes"
RELATIVE_DISTANCE = "relative distance"
STABLE_RANK = "stable rank"
CHANGED_SHARE = "changed weights"
BY_MAGNITUDE = "independent, by row and size of the weight"
BY_CHANCE = "independent, by size of the weight"
BY_DECAY = "independent, without what points along the weights"
BY_DIFFERENCE = "difference of the two trainings"
BY_SHUFFLED_SIGNS = "signs shuffled"
JACKKNIFE_TENSORS = "jackknife over tensors, t"
T_OVER_TENSORS = "t over matrices"
TOO_FEW_TENSORS = "no interval: too few tensors"


def top_overlap(share: float) -> str:
    return f"{TOP_OVERLAP}{share:.0%}".replace("%", " %")


# Column `grouping` of the disagreement of two laws, `place` of a word, and names that are no token's or word's.
BY_TOKEN = "by token"
BY_WORD = "by word"
BY_DOUBT = "by word of doubt"
WHOLE_WORD = "all tokens"
FIRST_TOKEN = "first token"
EVERY_TOKEN = "every token"
EVERY_DOUBT = "every word of doubt"
NO_DOUBT = "everything else"
NUMBER = "a number"  # all of them are one word

# Column `measure` of the ladder.
DOUBTS = "doubts per answer"
DOUBT_RATE = "doubts per 1,000 tokens"
LADDER_MEASURES = (ACCURACY, MEAN_TOKENS, DOUBTS, DOUBT_RATE)

# Columns `test`, `expected` and `verdict` of the ladder's tests.
TREND = "trend along the rungs"
EVERY_STEP = "every step by itself"
STEEPNESS = "fall from the first rung to the last"
RISES = "rises"
FALLS = "falls"
IN_ORDER = "in the order said"
REVERSED = "against the order said"

# Column `measure` of what a context told.
TOLD_INFORMATION = "information of told texts"  # E[log p(y|x,c) − log p(y|x)] over texts y sampled under the context
ANSWER_PROBE = "answer probe"  # the same of the answer alone, put behind a closed thought
STYLE_COST = "style cost"  # log p(y|x) − log p(y|x,c) of correct texts that were sampled without the context
INFORMATION_MEASURES = (TOLD_INFORMATION, ANSWER_PROBE, STYLE_COST)
SERVER = "server"  # column `engine` of a judge that a server has
PLUGIN = "plugin"  # of one that a plugin gives

# Column `parse` of a judge's reply.
AS_ASKED = "as asked"
REPAIRED = "repaired"
REFUSED_REPLY = "refused, not guessed"
PARSES = (AS_ASKED, REPAIRED, REFUSED_REPLY)

# Column `measure` of a judge of uncertainty: what it says, and its agreement with words of doubt and with itself.
JUDGED = "judged uncertainty"
MARKERS = "words of doubt"
JUDGED_DIFFERENCE = "judged uncertainty, difference from the base"
MARKERS_DIFFERENCE = "words of doubt, difference from the base"
RANKS_AGREE = "Spearman's ρ"
BIAS = "mean difference"
LOWER_LIMIT = "lower limit of agreement"
UPPER_LIMIT = "upper limit of agreement"
AGREEMENTS = (RANKS_AGREE, BIAS, LOWER_LIMIT, UPPER_LIMIT)
SAME_AGAIN = "share judged the same"
BONETT_WRIGHT = "Fisher's z, Bonett and Wright"
BLAND_ALTMAN = "Bland and Altman, t"
TOO_FEW_JUDGED = "no interval: too few judgements, or none that differ"


def with_markers(measure: str) -> str:
    """Of the judge's count and that of words of doubt; differences are the judge's less the words'."""
    return f"{measure}, judge and words"


def of_passes(measure: str) -> str:
    """Of the first two passes; differences are the second's less the first's."""
    return f"{measure}, two passes"


def replies(parse: str) -> str:
    return f"replies {parse}"


# Column `outcome` of what is asked under a context: given, or why a problem was skipped.
GIVEN = "given"
NO_CORRECT_SAMPLE = "no correct sample"
NO_SOLUTION = "no solution in its source"
NO_ANSWER_PART = "nothing behind its thought"
HOLDS_SPECIAL_TOKENS = "solution holds special tokens"
TOO_LONG = "does not fit the context"
SKIPPED = (NO_CORRECT_SAMPLE, NO_SOLUTION, NO_ANSWER_PART, HOLDS_SPECIAL_TOKENS, TOO_LONG)

# Column `estimand` of words of doubt, beside DOUBTS and DOUBT_RATE.
THOUGHT_DOUBT_RATE = "doubts per 1,000 tokens of the thought"
LATER_DOUBT_RATE = "doubts per 1,000 tokens after the thought"
SAME_LENGTHS_RATE = "doubts per 1,000 tokens, among answers of the same lengths"
FIRST_TOKENS_RATE = "doubts per 1,000 tokens, within the first tokens"
SUBSTRINGS = "substrings per answer"  # as arXiv 2603.24472 counts
SUBSTRING_RATE = "substrings per 1,000 tokens"

# Column `scale` of a comparison of doubt.
RATIO = "ratio of rates"
DIFFERENCE = "difference of means"
QUASI_POISSON = "quasi-Poisson, jackknife over problems"
NO_SHARED_LENGTH = "no interval: no answers of the same lengths"


def too_little_doubt(least: int) -> str:
    return f"no interval: shown in fewer than {least} problems"


# Column `kind` of the shift of words.
MARKER = "word of doubt"
OTHER_WORD = "other word"
ALL_MARKERS = "words of doubt"  # all uses of any of them
ALL_OTHERS = "other words"
MARKERS_AGAINST_OTHERS = "words of doubt against other words"
WORD_GROUPS = (ALL_MARKERS, ALL_OTHERS, MARKERS_AGAINST_OTHERS)

# Column `measure` of training on one's own answers, beside the measures of any answers. Of rollouts, by question:
REWARD = "mean reward"  # the share of rollouts that are right
REWARD_CUT_RIGHT = "reward, every cut answer right"
REWARD_CUT_AT_START = "reward, every cut answer of the start right"  # of a change, the least that it can be
REWARD_CUT_AT_END = "reward, every cut answer of the end right"  # the most
NATS_PER_TOKEN = "nats per sampled token"  # its mean is the entropy of the law, where that is what was sampled from
FLAT_RATE = "flat_rate"  # of groups whose rollouts have one reward: their advantages are 0
ALL_RIGHT_RATE = "all_right_rate"
ALL_WRONG_RATE = "all_wrong_rate"
TAUGHT_RATE = "taught_rate"  # of rollouts that had a teacher
# And of the updates, one number a step:
CLIPPED_LOW = "clipped low"  # shares of tokens
CLIPPED_HIGH = "clipped high"
IS_CLIPPED = "engine-to-trainer weight cut"
IS_MEAN = "engine-to-trainer weight"
ENGINE_DIFFERENCE = "difference of trainer and engine"  # nats
TEACHER_KL = "KL to the teacher"
BASE_KL = "KL to the base"
LEARNT_DIVERGENCE = "divergence that is learnt"
TEACHER_DISTANCE = "distance of the teacher from the base"
LAW_ENTROPY = "entropy while learning"  # nats, of the law at the tokens that are learnt

# Column `method` of one number a step, and column `unit` of claims that rest on trainings alone.
ONE_NUMBER = "no interval: one number a step"
T_OVER_TRAININGS = "t over trainings"
TRAINING = "single training"
MOVER = "Newcombe, of two Wilson intervals"
