/**
 * Words that mean much the same or name things of one sort, one kin a line. A text shows the kin of its words besides the
 * words, so that few examples teach more: "in italian" is half known from "in french". Written by hand from everyday
 * English; words whose sort hangs on what stands around them (order, book, second) are left out. The first line is numbers.
 * Kins between two blank lines share a topic; those before the first blank line have none.
 */
export const LEXICON = `
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million couple dozen half quarter
lost lose misplaced missing disappeared vanished stolen stole robbed snatched gone theft
block blocked freeze frozen lock locked deactivate disable suspend hold blocking unblock unfreeze disabled suspended suspension deactivated halted
dog cat pet puppy kitten dogs cats puppies kittens pets hamster rabbit goldfish parrot
red blue green yellow purple pink black white brown color
big large huge giant
small little tiny
good great best nice excellent top better perfect awesome amazing wonderful fantastic lovely fine superb
fast quick quickest fastest rapid rapidly quicker speedy shortest faster swiftly
near nearby nearest closest close around vicinity nearer closeby surrounding local
arrive arrival delivered delivery
list display view see lists displayed
tell say explain inform saying telling explained explains describe
find search locate look finding found seek discover looking
start begin initiate launch run commence starting began beginning
stop end quit halt kill terminate cease
cancel delete remove erase cancelled cancellation canceled deleting removed undo scrap revoke void wipe discard
change alter modify switch update edit swap changing changed altering edited updating updated modified adjust amend replace
make create prepare
fix repair broken broke busted damaged fixed repairs repaired fixing malfunctioning faulty defective crack cracked smashed
need want gotta wanna wish needs require requires required
help assist assistance helping helper guidance
can could would
please plz pls kindly
what whats wat wut
who whos
where wheres
when whens
how hows
why reason
total overall altogether
left remaining leftover
tip gratuity
game games sport sports football soccer basketball baseball tennis
reserve reservation reserved booking
approve approved approval authorize permission allow allowed permit permitted grant
verify confirm check verification authenticate validate prove proof confirmed verified
open opened closed
turn flip
increase raise boost higher increased increasing raising rise upgrade up
decrease lower reduce decreased lowering reducing downgrade drop dropped
north south east west
question answer
understand know idea
hear listen
eat eating ate
president senator governor minister politics election
todo task
duplicate twice double doubled again repeated
wrong incorrect mistake mistaken incorrectly
activate activation activated enable enabled
apply applying enroll register signup join
receive received receiving got
send sending sent
wait waiting awaiting
many much
address zip postcode
nationality citizen citizenship resident
country countries nation
walk walking jog bike bicycle cycling
believe think opinion thought
fake genuine
true false correct
maybe perhaps possibly unsure
dice roll toss
guess random

monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun weekend weekday
today tonight tomorrow yesterday tmrw tomorow
january february april june july august september october november december jan feb mar apr jun jul aug sept oct nov dec
morning afternoon evening noon midnight night oclock am pm
minute hour min sec
day week month year daily weekly monthly yearly
christmas easter thanksgiving birthday anniversary halloween holiday wedding
calendar schedule agenda calendars planner
alarm wake wakeup alarms snooze waking
timer countdown stopwatch
meeting appointment event conference meetings appointments events conferences lunchtime rehearsal interview
remind reminder remember forget reminders reminding
recent recently latest newest previous past earlier
age old young
long longer duration length

money cash funds dollar buck usd cent grand coin coins banknote penny pennies quid
euro pound yen peso rupee franc won yuan baht krona ruble real shekel gbp eur cad lira dinar dirham currency bitcoin peseta zloty forint dinars riyal ringgit
checking savings chequing account acct
bank chase citibank wells fargo hsbc barclays
visa mastercard amex debit plastic
paypal venmo zelle
pay paid payment paying repay settle payable prepay
buy bought purchase purchased shop shopping
spend spent spending expense expenses expenditure
cost price fee charge charged surcharge expensive rate commission penalty prices costs fares fare pricey pricing charges levy
cheap cheapest affordable inexpensive budget discount discounted inexpensively bargain sale coupon coupons deal deals promo voucher
earn salary paycheck wage income payroll payday salaries earnings stipend bonus paystub payslip
refund reimburse reimbursement moneyback refunds chargeback reversal
owe debt loan mortgage borrow lend financing debts owed owing lender borrowed loans
transfer wire transfers transferring transferred wired remit remittance
declined decline rejected reject refused denied deny bounced unsuccessful rejection refuse unaccepted
tax taxes irs w2
balance balances
statement statements receipt invoice invoices
credit score rating
points rewards miles cashback
limit maximum minimum max limits cap ceiling
fraud fraudulent scam suspicious unauthorized unrecognized fraudulently scammed hacked hacker unauthorised phishing compromised suspicion
stock share shares invest investment bond dow nasdaq stocks trading dividend brokerage etf
deposit deposited depositing topup
withdraw withdrawal withdrew atm cashpoint withdrawing
pending processing unprocessed outstanding unsettled
pin passcode password passwords passcodes
contactless tap chip swipe
fail failed fails failing

france germany italy spain portugal japan china korea india mexico brazil canada england britain uk ireland russia turkey greece egypt thailand vietnam australia peru cuba kenya nigeria poland sweden norway finland denmark switzerland austria netherlands belgium iceland israel jordan dubai indonesia philippines argentina colombia chile morocco usa america europe asia africa ukraine scotland wales iran iraq syria lebanon pakistan bangladesh nepal lanka malaysia cambodia laos taiwan mongolia ethiopia ghana uganda tanzania zimbabwe senegal algeria tunisia libya bolivia ecuador venezuela uruguay paraguay panama guatemala honduras nicaragua haiti jamaica bahamas hungary romania bulgaria serbia croatia slovenia slovakia estonia latvia lithuania luxembourg malta cyprus zealand qatar kuwait oman saudi arabia afghanistan kazakhstan somalia fiji
london paris rome berlin madrid tokyo beijing moscow sydney toronto boston chicago denver seattle dallas houston austin miami orlando atlanta detroit phoenix portland oakland philadelphia philly vegas york angeles francisco diego antonio nashville tampa cancun dublin amsterdam vienna athens istanbul cairo mumbai delhi bangkok singapore barcelona milan zurich munich frankfurt la nyc dc hawaii texas florida california alaska colorado vermont lisbon prague budapest warsaw oslo stockholm helsinki copenhagen brussels geneva venice florence naples lyon marseille hamburg cologne edinburgh glasgow manchester liverpool belfast montreal vancouver ottawa lagos nairobi casablanca johannesburg seoul osaka kyoto shanghai shenzhen taipei manila jakarta hanoi saigon kolkata bangalore karachi tehran baghdad riyadh doha melbourne brisbane perth auckland lima bogota santiago rio havana kingston cleveland cincinnati columbus pittsburgh baltimore memphis louisville milwaukee minneapolis omaha tulsa charlotte raleigh charleston savannah jacksonville sacramento fresno anaheim tucson albuquerque boise spokane honolulu anchorage ohio michigan georgia virginia maryland carolina tennessee kentucky alabama mississippi louisiana arkansas oklahoma kansas nebraska iowa missouri illinois indiana wisconsin minnesota utah nevada arizona oregon idaho montana wyoming dakota maine hampshire massachusetts connecticut jersey pennsylvania delaware

united delta southwest jetblue lufthansa ryanair emirates klm airline
flight fly plane flying airplane airfare jet airliner aeroplane flew flown layover nonstop redeye itinerary airways
ticket seat
airport gate terminal boarding runway
hotel motel hostel inn lodging accommodation airbnb marriott hilton hyatt sheraton room suite resort bnb campsite
luggage baggage suitcase bag bags backpack duffel carryon handbag purse
vacation trip travel travelling traveling journey getaway honeymoon holidays tour tourism tourist tourists sightseeing voyage cruise trips travels abroad overseas traveler touring
passport license id identity

mom mother dad father brother sister wife husband son daughter grandma grandpa grandmother grandfather aunt uncle cousin friend boyfriend girlfriend roommate kid kids parents family landlord neighbor coworker colleague parent mum mama papa daddy grandson granddaughter nephew niece inlaws sibling siblings relative relatives fiance spouse partner buddy pal mate folks
john mike david dave james tom bob rob jim sam joe paul mark steve kevin brian jake alex ben dan matt chris tim greg kyle eric ryan mary lisa sarah anna emma kate jenny jen amy linda karen laura susan nancy emily rachel maria julia lily nina priya
boss manager supervisor hr supervisors managers
child baby toddler

car vehicle auto truck suv van minivan sedan jeep cars minibus convertible motorcycle motorbike scooter trucks vehicles automobile honda toyota ford chevy bmw tesla
uber lyft taxi cab
road highway freeway street interstate route bridge exit avenue boulevard lane roads tunnel
traffic congestion jam jammed congested gridlock roadwork detour backed
tire tires wheel
gas fuel petrol diesel gasoline
oil engine brake brakes transmission
mileage odometer mpg
drive driving drove ride riding
seatbelt windshield headlight wiper mirror
mechanic dealership
park parking
directions navigate navigation map gps
distance far
train bus subway metro tram rail railway

restaurant diner bistro cafe steakhouse pizzeria eatery restaurants brasserie pub bar taverna canteen
pizza sushi taco burger pasta steak ramen burrito noodles sandwich curry lasagna soup salad stew chili spaghetti macaroni enchilada quesadilla nachos falafel hummus kebab pho dumpling dumplings omelette meatloaf meatball casserole stroganoff paella risotto gnocchi ravioli
chicken beef pork ham bacon fish salmon shrimp meat tuna lobster sausage lamb veal duck venison crab oyster clam scallop cod tilapia trout pepperoni salami hotdog meatballs
milk cheese butter yogurt cream egg eggs mayo mozzarella parmesan feta margarine buttermilk
apple banana orange lemon grape strawberry avocado tomato potato onion carrot broccoli lettuce bean corn pepper vegetable fruit mushroom pear peach plum cherry mango papaya pineapple kiwi melon watermelon blueberry raspberry lime garlic ginger spinach kale cabbage celery cucumber zucchini squash pumpkin eggplant asparagus cauliflower pea lentil chickpea radish beet
bread rice flour sugar salt cereal oatmeal spice toast bagel bun tortilla oat quinoa grain honey syrup vinegar mustard ketchup sauce cinnamon cumin paprika basil oregano thyme
cake cookie pie muffin brownie pancake chocolate dessert waffle cupcake donut doughnut croissant pudding candy pastry icecream
coffee tea beer wine juice soda water drink espresso latte cappuccino lemonade smoothie milkshake whiskey vodka rum gin tequila champagne cocktail
breakfast lunch dinner brunch supper meal
cook bake boil fry roast grill steam simmer microwave oven cooking cooked baked baking boiling fried frying roasted grilled prep
recipe ingredient recipes
spoiled expired expire expiration rotten stale mold rancid moldy perish
calorie calories nutrition carbs protein fat vitamins
menu dish cuisine cuisines entree appetizer
hungry starving thirsty
sweet salty sour bitter spicy bland tasty delicious
pan pot bowl plate fork spoon knife

kitchen bedroom bathroom hallway basement garage attic porch office den nursery upstairs downstairs
light lamp bulb brightness lights lighting lamps bulbs chandelier dim dimmer
hot warm warmer cold colder cool cooler chilly freezing heat heating temperature thermostat degrees warmth heated chill
clean vacuum mop sweep hoover wash dust scrub laundry dishes cleaning vacuuming tidy mopping sweeping cleaned
unlock unlocked secure
door window curtain blinds

rain snow sunny cloudy windy storm forecast umbrella weather humid humidity hail thunder lightning tornado hurricane blizzard fog foggy drizzle rainy snowing raining sunshine rainfall snowfall cloud clouds raincoat breeze gusty sleet overcast precipitation climate

song track tune music album artist band singer playlist songs lyrics lyric albums tunes melody
jazz pop rap classical blues reggae techno folk soul funk punk indie edm opera gospel disco dance
movie film show episode tv television movies films cinema sitcom series shows documentary
loud louder quiet quieter volume mute silence silent softer sound unmute
play pause resume skip rewind shuffle
watch watching stream streaming netflix hulu

message text sms email mail texts messages texting inbox emails
call phone dial phoned dialing ringing telephone
photo picture image video camera photos pictures snapshot videos selfie
wifi internet network broadband bluetooth wireless router hotspot
battery charger
app application software website
login username signin
news headlines headline newspaper article articles

doctor dentist hospital clinic physician vet nurse doctors pharmacist pharmacy surgeon therapist
medicine pill medication prescription drug vitamin medicines pills antibiotic antibiotics painkiller ibuprofen aspirin tablets
insurance policy coverage deductible copay premium insured insurer insure policies premiums
vaccine vaccination shot immunization
sick ill flu fever headache cough unwell nausea vomit pain hurts hurt ache sore injury injured
sleep nap asleep

job work career employer company jobs works workplace employed employee profession occupation
pto leave
file folder document pdf spreadsheet
deploy release rollout deployed deployment publish
server host machine instance vm cluster node
error bug crash failure exception
database db sql table query
report dashboard chart graph
customer client lead contact
student teacher course class lesson homework exam grade students pupil professor classes lessons exams grades study studying
school university college

amazon walmart target costco ebay ikea starbucks mcdonalds walgreens safeway
ship shipped shipping mailed package parcel shipment mailing deliver delivering courier fedex ups usps dhl post postal packages tracking
return returned returning exchange exchanged
shirt shoes dress jacket pants jeans clothes sweater hat socks coat skirt boots
couch sofa bed chair desk shelf furniture
store stores supermarket mall market grocery groceries boutique
new another different replacement replacements spare substitute

inch foot feet yard mile meter metre kilometer centimeter km cm mm inches feets yards
ounce gram kilogram kilo ton kg lb lbs oz
cup tablespoon teaspoon pint quart gallon liter litre ml
celsius fahrenheit
plus minus times divided multiply multiplied subtract add sum divide
tall height wide width depth heavy weight weigh
square root equation percent percentage calculate fraction calculator

french german italian spanish portuguese japanese chinese mandarin cantonese korean hindi arabic russian turkish greek hebrew polish swedish norwegian finnish danish dutch czech thai vietnamese hungarian latin hawaiian swahili tagalog romanian bulgarian serbian croatian ukrainian icelandic irish gaelic welsh persian farsi urdu bengali punjabi malay indonesian catalan zulu
translate translation translated translator translating interpret
spell spelling spelled
mean meaning define definition means defined meanings definitions synonym

robot bot human ai person computer program
joke funny laugh humor pun hilarious silly jokes comedy comedian amuse amusing
hello hey greetings howdy hi hiya heya yo
bye goodbye farewell cya later ciao
thanks thank thx ty appreciate grateful thankful thankyou thnx gracias
sorry apologize apology excuse pardon
yes yeah yep yup sure okay ok absolutely definitely certainly affirmative
no nope nah negative
love hate dislike enjoy
favorite favourite prefer preferred
name named nickname
born birth birthplace birthdate
sad happy angry upset bored tired lonely depressed excited glad mad furious
poem story essay
chat talk conversation speak converse
`.trim();
