"""The checks of a pair: was the quantised network made from the reference, and is it read right?"""
