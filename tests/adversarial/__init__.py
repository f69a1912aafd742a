"""The model and anybody who may produce to our topics act as enemies: does anything leave the charter's limits?

tickets.py what the world sends, and what each ticket allows by itself answers.py the answers of a hostile model, by
hand; fuzz.py makes more of them by a seed forgeries.py records that are produced directly to the topics of the act
stage oracle.py judges only by the action server's log, and knows nothing of the product attack.py one running pipeline,
everything at once
"""
