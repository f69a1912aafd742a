"""The model as an enemy, and whoever may produce to our topics: does anything leave the charter?

tickets.py    what the world sends, and what each ticket allows by itself
answers.py    what a hostile model answers, by hand; fuzz.py makes more of them by a seed
forgeries.py  what is produced straight to the topics of the act stage
oracle.py     judges by the action server's log alone; knows nothing of the product
siege.py      one running pipeline, all of it at once
"""
